from dataclasses import replace
from datetime import datetime

import pytest

from delivery.domain.emails import Standing
from delivery.domain.errors import TooLate, UnknownEmail
from delivery.domain.states import State
from delivery.use_cases.cancel_email import TRIES, cancel_email
from delivery.use_cases.reschedule_email import reschedule_email
from tests.unit.delivery.builders import EMAIL_ID, NOW, seconds, standing

LATER = NOW + seconds(60)


class Emails:
    """One email. moves: the states it comes into by others' hands, each right before a write."""

    def __init__(self, state: State, *, moves: list[State] | None = None) -> None:
        self.email = standing(state=state)
        self.moves = moves or []

    def get(self, tenant_id: str, email_id: str) -> Standing | None:
        is_it = (tenant_id, email_id) == (self.email.tenant_id, self.email.email_id)
        return self.email if is_it else None

    def cancel(self, seen: Standing, *, reason: str, now: datetime) -> bool:
        return self._write(seen, state=State.CANCELED)

    def reschedule(self, seen: Standing, *, send_at: datetime, now: datetime) -> bool:
        return self._write(seen, due_at=send_at)

    def _write(self, seen: Standing, **changes: object) -> bool:
        if self.moves:
            self.email = replace(self.email, state=self.moves.pop(0))
        if self.email.state is not seen.state:
            return False
        self.email = replace(self.email, **changes)  # type: ignore[arg-type]
        return True


def cancel(emails: Emails, *, tenant_id: str = "default") -> State | None:
    happened = cancel_email(tenant_id, EMAIL_ID, emails=emails, scheduled=emails, now=NOW)
    return happened.state if happened else None


def reschedule(emails: Emails, send_at: datetime | None, *, tenant_id: str = "default") -> datetime:
    reschedule_email(tenant_id, EMAIL_ID, send_at=send_at, emails=emails, scheduled=emails, now=NOW)
    return emails.email.due_at


def test_what_waits_is_canceled_and_canceling_it_again_changes_nothing() -> None:
    emails = Emails(State.QUEUED)
    assert cancel(emails) is State.CANCELED
    assert cancel(emails) is None


def test_an_email_that_a_worker_was_quicker_to_claim_is_not_canceled() -> None:
    emails = Emails(State.QUEUED, moves=[State.SUBMITTING])
    with pytest.raises(TooLate, match="it is submitting"):
        cancel(emails)
    assert emails.email.state is State.SUBMITTING


def test_an_email_that_became_due_meanwhile_is_canceled_all_the_same() -> None:
    emails = Emails(State.SCHEDULED, moves=[State.QUEUED])
    assert cancel(emails) is State.CANCELED


def test_an_email_that_never_stands_still_is_left_alone() -> None:
    emails = Emails(State.SCHEDULED, moves=[State.QUEUED, State.RETRYING] * TRIES)
    with pytest.raises(TooLate, match="being worked on"):
        cancel(emails)


def test_a_scheduled_email_is_rescheduled_also_to_now() -> None:
    assert reschedule(Emails(State.SCHEDULED), LATER) == LATER
    assert reschedule(Emails(State.SCHEDULED), None) == NOW


def test_an_email_that_became_due_meanwhile_is_not_rescheduled() -> None:
    emails = Emails(State.SCHEDULED, moves=[State.QUEUED])
    with pytest.raises(TooLate, match="it is queued"):
        reschedule(emails, LATER)


def test_another_tenants_email_is_unknown() -> None:
    with pytest.raises(UnknownEmail):
        cancel(Emails(State.QUEUED), tenant_id="another")
    with pytest.raises(UnknownEmail):
        reschedule(Emails(State.SCHEDULED), LATER, tenant_id="another")
