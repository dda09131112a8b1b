"""Options by which commands choose emails."""

import argparse
from datetime import UTC, datetime

from delivery.config import parse_duration
from delivery.domain.errors import InvalidRequest
from delivery.domain.lanes import Lane


def add_choosing(parser: argparse.ArgumentParser, *, when: str) -> None:
    """when: what --since and --until are about."""
    parser.add_argument("--tenant", help="of this tenant")
    parser.add_argument("--lane", choices=tuple(Lane), help="of this lane")
    parser.add_argument("--since", metavar="TIME", help=f"{when} at or after: 2h (ago), or 2030-01-31T12:00Z")
    parser.add_argument("--until", metavar="TIME", help=f"{when} at or before")


def parse_time(text: str | None, *, now: datetime, option: str) -> datetime | None:
    """A time with its offset from UTC, or how long ago. Raises InvalidRequest."""
    if text is None:
        return None
    try:
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{option} must be such as 2h, 7d or 2030-01-31T12:00:00Z") from None
    if instant.tzinfo is None:
        raise InvalidRequest(f"{option} needs an offset from UTC, such as Z or +01:00")
    return instant.astimezone(UTC)


def lane_of(arguments: argparse.Namespace) -> Lane | None:
    return Lane(arguments.lane) if arguments.lane is not None else None


def positive(text: str) -> int:
    """For argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return int(text)
