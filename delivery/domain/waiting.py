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
    """For an email that waits because the provider is away; None while it may wait on."""
    if expires_at is not None and expires_at <= now:
        return EXPIRED
    return OVERDUE if now - waiting_since > policy.max_wait else None


def has_expired(claimed: ClaimedEmail, *, now: datetime) -> bool:
    return claimed.expires_at is not None and claimed.expires_at <= now


def settle_unsent(claimed: ClaimedEmail, *, now: datetime) -> Settlement | None:
    """How a claimed email ends that expired before its call; None if it is to be given back.

    max_wait says nothing here: what waited for us, and not for the provider, is sent, late as it is.
    """
    if not has_expired(claimed, now=now):
        return None
    return Settlement(
        state=EXPIRED.state,
        attempts=claimed.attempts,
        waits=claimed.waits,
        at=now,
        reason=EXPIRED.reason,
        was_called=False,
    )
