"""What a test's own code logged."""

import logging
import threading

import pytest


def logged_here(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """By this thread. An API that an earlier test had in this process may still look for its broker in a
    thread of its own."""
    return [record for record in caplog.records if record.thread == threading.get_ident()]
