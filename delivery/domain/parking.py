"""Emails that wait for a person's decision: dead and held ones."""

from dataclasses import dataclass
from datetime import datetime

from delivery.domain.lanes import Lane
from delivery.domain.states import REVIVABLE, State


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEmail:
    """parked_at: when it came into this state. reason, last_error: why."""

    email_id: str
    tenant_id: str
    lane: Lane
    state: State
    gen: int
    attempts: int
    accepted_at: datetime
    parked_at: datetime
    reason: str | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which parked emails: those of a state, of which all that is given here holds.

    since, until: of their parking. An email that is parked anew later than ``until`` is another matter.
    """

    state: State
    until: datetime
    since: datetime | None = None
    tenant_id: str | None = None
    lane: Lane | None = None
    reason: str | None = None
    email_ids: tuple[str, ...] | None = None


def is_stale(state: State | None, *, gen: int, letter_gen: int) -> bool:
    """Whether a letter of that generation stands for nothing any more.

    state, gen: of its email; None, if nobody knows the email. Then, or if the letter is of a later generation
    than the email, the store is older than the broker (a restored backup), and the letter is kept.
    """
    if state is None or letter_gen > gen:
        return False
    return state not in REVIVABLE or letter_gen < gen
