"""Logging: one line an event, to standard error. No addresses, bodies, keys or path tokens, ever."""

import logging
import sys
from datetime import UTC, datetime


class LineFormatter(logging.Formatter):
    """``<time> <level> <where> <message>``, the time in UTC. A traceback follows on lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s[%(process)d] %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def set_up_logging() -> None:
    """Configure the root logger. Libraries speak from WARNING on."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(logging.INFO)
    # aio-pika names the broker's URL with each failed attempt, and pymongo the commands: theirs stay quiet.
    for name in ("aio_pika", "aiormq", "pymongo", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.ERROR)
