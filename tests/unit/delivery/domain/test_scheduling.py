import pytest

from delivery.domain.errors import InvalidRequest, TooLate
from delivery.domain.scheduling import DueEmail, check_cancelable, check_reschedulable
from delivery.domain.states import State
from tests.unit.delivery.builders import NOW, seconds, standing

CANCELABLE = [State.SCHEDULED, State.QUEUED, State.RETRYING]
LATER = NOW + seconds(60)


@pytest.mark.parametrize("state", CANCELABLE)
def test_what_is_plainly_not_in_a_providers_hands_can_be_canceled(state: State) -> None:
    check_cancelable(standing(state=state))


@pytest.mark.parametrize("state", [state for state in State if state not in CANCELABLE])
def test_anything_else_can_not(state: State) -> None:
    with pytest.raises(TooLate, match=f"any more: it is {state}"):
        check_cancelable(standing(state=state))


@pytest.mark.parametrize("state", CANCELABLE)
def test_what_the_provider_may_have_accepted_can_not_be_called_canceled(state: State) -> None:
    with pytest.raises(TooLate, match="the provider may have accepted it"):
        check_cancelable(standing(state=state, may_be_sent=True))


@pytest.mark.parametrize("send_at", [None, LATER])
def test_what_is_scheduled_can_be_rescheduled(send_at: object) -> None:
    check_reschedulable(standing(state=State.SCHEDULED), send_at=LATER if send_at else None)


@pytest.mark.parametrize("state", [state for state in State if state is not State.SCHEDULED])
def test_nothing_else_can(state: State) -> None:
    with pytest.raises(TooLate, match=f"any more: it is {state}"):
        check_reschedulable(standing(state=state), send_at=LATER)


def test_nothing_is_rescheduled_to_when_it_has_expired() -> None:
    email = standing(state=State.SCHEDULED, expires_at=LATER)
    check_reschedulable(email, send_at=LATER - seconds(1))
    with pytest.raises(InvalidRequest, match="expires at 2026-03-01T12:01:00"):
        check_reschedulable(email, send_at=LATER)


def test_a_due_email_has_expired_from_its_expiry_on() -> None:
    email = DueEmail(email_id="a", tenant_id="acme", expires_at=LATER)
    assert not email.has_expired(now=LATER - seconds(1))
    assert email.has_expired(now=LATER)
