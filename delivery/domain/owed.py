"""What a stored state owes to the broker: the outbox is the document itself."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from delivery.domain.delays import DelayStep, step_for
from delivery.domain.emails import message_priority
from delivery.domain.lanes import Lane
from delivery.domain.tenant_lanes import TenantLane
from delivery.domain.watermarks import Way


class OwedTo(StrEnum):
    """Where the message goes. ``delay`` becomes ``lane`` when it is published only after it is due."""

    LANE = "lane"
    DELAY = "delay"
    DEAD = "dead"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedEmail:
    """The message that an email's state requires, with all that its headers tell an operator.

    since: when that state was written, None where nobody remembers; it makes no difference to the message.
    """

    email_id: str
    tenant_id: str
    gen: int
    to: OwedTo
    lane: Lane
    priority: int
    due_at: datetime
    attempts: int
    waits: int
    accepted_at: datetime
    since: datetime | None = field(default=None, compare=False)
    died_at: datetime | None = None
    reason: str | None = None
    last_error: str | None = None

    @property
    def tenant_lane(self) -> TenantLane:
        """Where its email waits, now or after a delay."""
        return TenantLane(self.lane, self.tenant_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedEvent:
    """That a stored provider event must be named in a message."""

    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a batch of conditional writes came to. moved: the emails that are in the state which was meant for
    them; the others were somewhere else by then. owed: what those that moved owe now."""

    moved: frozenset[str] = frozenset()
    owed: list[OwedEmail] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a message is published: ``exchange`` and ``routing_key`` in the words of the topology."""

    delay: DelayStep | None
    routing_key: str
    priority: int


def message_way(owed: OwedEmail) -> Way | None:
    """The order its message will stand in; None for letters, which stand in none."""
    if owed.to in (OwedTo.DEAD, OwedTo.HELD):
        return None
    is_retry = owed.attempts > 0 or owed.waits > 0
    priority = message_priority(priority=owed.priority, is_retry=is_retry)
    return Way(owed.lane, priority, owed.tenant_id)


def route(owed: OwedEmail, *, now: datetime, steps: tuple[DelayStep, ...]) -> Route:
    """Decide where an owed message goes at this moment."""
    is_retry = owed.attempts > 0 or owed.waits > 0
    priority = message_priority(priority=owed.priority, is_retry=is_retry)
    match owed.to:
        case OwedTo.DEAD | OwedTo.HELD:
            return Route(delay=None, routing_key=owed.to.value, priority=priority)
        case OwedTo.LANE | OwedTo.DELAY:
            remaining = owed.due_at - now
            step = step_for(remaining, steps=steps) if remaining > timedelta(0) else None
            return Route(delay=step, routing_key=owed.tenant_lane.key, priority=priority)
