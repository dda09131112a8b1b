"""What happened to an email, as told to services that subscribe."""

from dataclasses import dataclass
from datetime import datetime

from delivery.domain.emails import Standing
from delivery.domain.lanes import Lane
from delivery.domain.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An email came into a state. It is a notification, not a ledger: GET /status says where it stands.

    was, was_unreported: where it stood before, if not in some state that leads to a call or follows one.
    """

    tenant_id: str
    email_id: str
    lane: Lane
    state: State
    at: datetime
    was: State = State.QUEUED
    was_unreported: bool = False


def happening_of(email: Standing, state: State, *, at: datetime) -> Happening:
    """That an email, which stood there before, came into the state."""
    return Happening(
        tenant_id=email.tenant_id,
        email_id=email.email_id,
        lane=email.lane,
        state=state,
        at=at,
        was=email.state,
        was_unreported=email.is_unreported,
    )
