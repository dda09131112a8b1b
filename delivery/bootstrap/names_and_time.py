"""What is new each time: the time itself, and names that nobody else has."""

import os
import socket
from datetime import UTC, datetime
from uuid import uuid4

from uuid_utils import uuid7


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_email_id() -> str:
    """Time-ordered, so that inserts go to the end of the index. RFC 9562, version 7."""
    return str(uuid7())


def process_name() -> str:
    """Unique among all processes that share a store or a broker."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
