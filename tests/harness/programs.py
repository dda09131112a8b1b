"""Programs that tests run and that are no part of the project."""

import os
import shutil
from typing import NoReturn

import pytest


def need(*programs: str) -> None:
    """For a test that can't do without them."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        skip_or_fail(f"there is no {' and no '.join(missing)}")


def skip_or_fail(reason: str) -> NoReturn:
    """A laptop without a broker skips; CI fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
