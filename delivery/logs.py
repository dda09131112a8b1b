"""Logging: one line an event, to standard error. No addresses, bodies, keys or path tokens, ever."""

import asyncio
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)

_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LineFormatter(logging.Formatter):
    """``<time> <level> <where> <message>``, the time in UTC. A traceback follows on lines of its own.

    It tells the errors' types and places, not their texts: those of the store's driver quote documents.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s[%(process)d] %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # another handler may have left its own there
        return super().format(record)

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802
        lines: list[str] = []
        error = ei[1]
        while error is not None:
            frames = "".join(traceback.format_tb(error.__traceback__))
            lines.insert(0, f"{frames}{type(error).__qualname__}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n".join(lines)


def log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event loop's exception handler: its default one quotes the error's text."""
    error = context.get("exception")
    log.error("%s error=%s", context["message"], type(error).__name__, exc_info=error)


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
