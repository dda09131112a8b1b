"""Emails that are to be sent later, and those that are taken back. Pure rules."""

from dataclasses import dataclass
from datetime import datetime

from delivery.domain.emails import Standing
from delivery.domain.errors import InvalidRequest, TooLate
from delivery.domain.states import CLAIMABLE, State


@dataclass(frozen=True, slots=True, kw_only=True)
class DueEmail:
    """A scheduled email whose time to be sent has come."""

    email_id: str
    tenant_id: str
    expires_at: datetime | None

    def has_expired(self, *, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


def check_cancelable(email: Standing) -> None:
    """Raises TooLate unless the email is plainly not in a provider's hands, and never was.

    After a call of which nobody knows whether it was accepted, an email that waits to be sent once more may
    have been sent already, or be accepted late: nobody could call that canceled.
    """
    if email.state is not State.SCHEDULED and email.state not in CLAIMABLE:
        raise TooLate(f"the email can't be canceled any more: it is {email.state}")
    if email.may_be_sent:
        raise TooLate("the email can't be canceled: the provider may have accepted it")


def check_reschedulable(email: Standing, *, send_at: datetime | None) -> None:
    """Raises TooLate unless it is still scheduled; InvalidRequest where it would be expired by then.

    send_at: None for at once.
    """
    if email.state is not State.SCHEDULED:
        raise TooLate(f"the email can't be rescheduled any more: it is {email.state}")
    if send_at is not None and email.expires_at is not None and email.expires_at <= send_at:
        raise InvalidRequest(f"the email expires at {email.expires_at.isoformat()}, before that time")
