"""When to try again: pure rules."""

from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a call may take. All in seconds.

    attempt: for the connection, and then for the answer, of each try. total: for all tries together, with
    the pauses between them. first_pause: at most, after the first try; twice as long after each further one,
    up to longest_pause.
    """

    attempt: float = 10.0
    total: float = 60.0
    first_pause: float = 0.2
    longest_pause: float = 10.0

    def __post_init__(self) -> None:
        if min(self.attempt, self.total, self.first_pause, self.longest_pause) <= 0:
            raise ValueError("every time of a Patience must be more than 0")


def pause_after(tries: int, *, patience: Patience, retry_after: float | None, share: float) -> float:
    """Seconds until the next try.

    tries: how many there were. share: a random number from 0 to 1, so that many clients that failed together
    don't come back together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, "full
    jitter"); what the server asked for comes before that.
    """
    longest = min(patience.longest_pause, patience.first_pause * 2.0 ** min(tries - 1, 30))
    return (retry_after or 0.0) + longest * share


def read_retry_after(header: str | None, *, now: datetime) -> float | None:
    """Seconds, from a number or a date (RFC 9110, section 10.2.3). None if it is none of these."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:  # "-0000": UTC, from an unknown place
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - now).total_seconds())
