"""When an email has waited long enough: its own time is over, or its lane's max_wait is. Pure rules."""

from dataclasses import dataclass
from datetime import datetime

from delivery.domain.emails import ClaimedEmail
from delivery.domain.lanes import LanePolicy
from delivery.domain.owed import OwedTo
from delivery.domain.settlement import DeathReason, Settlement
from delivery.domain.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An email that waits for a worker. came_at: when its message came into its lane."""

    email_id: str
    tenant_id: str
    gen: int
    came_at: datetime
    waiting_since: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Over:
    """How an email ends that has waited long enough. owed: the message that this requires."""

    state: State
    reason: str
    owed: OwedTo | None


EXPIRED = Over(State.EXPIRED, "expired before it was sent", None)
OVERDUE = Over(State.DEAD, DeathReason.MAX_WAIT_EXCEEDED.value, OwedTo.DEAD)


def end_of_waiting(
    *, waiting_since: datetime, expires_at: datetime | None, policy: LanePolicy, now: datetime
) -> Over | None:
    """None while it may wait on. Whatever it waited for: nothing is sent later than its lane allows."""
    if expires_at is not None and expires_at <= now:
        return EXPIRED
    return OVERDUE if now - waiting_since > policy.max_wait else None


def settle_unsent(claimed: ClaimedEmail, *, policy: LanePolicy, now: datetime) -> Settlement | None:
    """How a claimed email ends whose time was over before its call; None if it is to be given back."""
    over = end_of_waiting(
        waiting_since=claimed.waiting_since, expires_at=claimed.expires_at, policy=policy, now=now
    )
    if over is None:
        return None
    return Settlement(
        email_id=claimed.email_id,
        token=claimed.token,
        state=over.state,
        attempts=claimed.attempts,
        waits=claimed.waits,
        at=now,
        owed=over.owed,
        reason=over.reason,
        was_called=False,
    )
