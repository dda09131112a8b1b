"""Evidence that the broker lost a message.

A lane hands out its messages of one priority in the order they came. So once a message is handed out, every
message of its lane and priority that came well before it has been handed out, too, or is lost. An email that
waits is never taken for lost because it waits.

The time of the newest message that was handed out is the watermark of its lane and priority. Where nothing is
handed out for long although something waits, a probe is sent along the same way: a message that stands for no
email and only raises the watermark.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from delivery.domain.lanes import PRIORITIES, RETRY_PRIORITY, Lane

PROBE_ID = "00000000-0000-0000-0000-000000000000"
"""The nil UUID, RFC 9562 section 5.9: no email has it."""

ALL_PRIORITIES = (*PRIORITIES, RETRY_PRIORITY)


@dataclass(frozen=True, slots=True)
class Way:
    """One order of messages: a lane and a message priority in it."""

    lane: Lane
    priority: int


WAYS = tuple(Way(lane, priority) for lane in Lane for priority in sorted(ALL_PRIORITIES, reverse=True))
"""The most urgent first."""


def lost_before(watermark: datetime | None, *, margin: timedelta, now: datetime) -> datetime | None:
    """What came before this and was not handed out is lost.

    margin: for messages that were handed out but wait in a consumer for their slot, and for clocks apart.
    """
    return None if watermark is None else min(watermark, now) - margin


def may_be_silent(watermark: datetime | None, *, margin: timedelta, now: datetime) -> bool:
    """Whether needs_probe() can be true, whatever waits: a way that moves needs no look at the store."""
    return watermark is None or watermark <= now - margin


def needs_probe(
    *, oldest_waiting: datetime | None, watermark: datetime | None, now: datetime, margin: timedelta
) -> bool:
    """Whether something waits so long that its way should have told by now."""
    if oldest_waiting is None or now - oldest_waiting < margin * 2:
        return False
    return watermark is None or watermark - margin <= oldest_waiting
