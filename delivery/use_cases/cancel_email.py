"""Take an email back."""

from datetime import datetime
from typing import Protocol

from delivery.domain.emails import Standing
from delivery.domain.errors import TooLate, UnknownEmail
from delivery.domain.happenings import Happening, happening_of
from delivery.domain.scheduling import check_cancelable
from delivery.domain.states import State

TRIES = 10
"""An email that moved on so often between a look and a write is being worked on."""

REASON = "canceled by its tenant"


class EmailLookup(Protocol):
    def get(self, tenant_id: str, email_id: str) -> Standing | None: ...


class Cancelable(Protocol):
    def cancel(self, seen: Standing, *, reason: str, now: datetime) -> bool: ...


def cancel_email(
    tenant_id: str,
    email_id: str,
    *,
    emails: EmailLookup,
    scheduled: Cancelable,
    now: datetime,
    reason: str = REASON,
) -> Happening | None:
    """Cancel an email of this tenant: from now on it is never sent. Returns what happened; None if it was
    canceled before.

    Raises UnknownEmail; TooLate where it is, or may be, in a provider's hands, or has ended; and
    StoreUnavailable: repeat it then.
    """
    for _ in range(TRIES):
        seen = emails.get(tenant_id, email_id)
        if seen is None:
            raise UnknownEmail(email_id)
        if seen.state is State.CANCELED:
            return None
        check_cancelable(seen)
        if scheduled.cancel(seen, reason=reason, now=now):
            return happening_of(seen, State.CANCELED, at=now)
    raise TooLate("the email can't be canceled: it is being worked on")
