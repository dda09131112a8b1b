"""Lanes: classes of urgency, each with a queue, a capacity and a retry schedule of its own."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Lane(StrEnum):
    """Most urgent first; this order is the order in which owed messages are published."""

    CRITICAL = "critical"
    TRANSACTIONAL = "transactional"
    STANDARD = "standard"
    BULK = "bulk"


SHARING_LANES = (Lane.TRANSACTIONAL, Lane.STANDARD, Lane.BULK)
"""The lanes that share, by weight, the slots that are not reserved for critical."""

PRIORITIES = range(4)
"""What a caller may ask for inside a lane; higher goes first."""

DEFAULT_PRIORITY = 1
RETRY_PRIORITY = 4
"""Above every caller's priority: a retry goes ahead of fresh mail of its lane."""


class OnUnknown(StrEnum):
    """What to do with an email when nobody knows whether the provider took it."""

    RESEND = "resend"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePolicy:
    """How a lane treats its emails.

    retry_schedule: the wait before the second, third … attempt; an email has one attempt more than
        the schedule has entries.
    max_wait: how long an email may wait for the provider, from when that first made it wait; it bounds
        waits that spend no attempt (throttling, a misconfigured provider).
    weight: the lane's part of the shared slots.
    on_unknown, unknown_deadline: what is done when an outcome is still unknown so long after the call.
    """

    retry_schedule: tuple[timedelta, ...]
    max_wait: timedelta
    weight: int
    on_unknown: OnUnknown = OnUnknown.HOLD
    unknown_deadline: timedelta = timedelta(minutes=45)
