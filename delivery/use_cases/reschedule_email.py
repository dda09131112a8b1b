"""Let a scheduled email be sent at another time."""

from datetime import datetime
from typing import Protocol

from delivery.domain.emails import Standing
from delivery.domain.errors import TooLate, UnknownEmail
from delivery.domain.scheduling import check_reschedulable

TRIES = 10


class EmailLookup(Protocol):
    def get(self, tenant_id: str, email_id: str) -> Standing | None: ...


class Reschedulable(Protocol):
    def reschedule(self, seen: Standing, *, send_at: datetime, now: datetime) -> bool: ...


def reschedule_email(
    tenant_id: str,
    email_id: str,
    *,
    send_at: datetime | None,
    emails: EmailLookup,
    scheduled: Reschedulable,
    now: datetime,
) -> None:
    """Let an email of this tenant be due at another time. send_at: None for at once.

    Raises UnknownEmail; TooLate if it is scheduled no more; InvalidRequest if it would be expired by then;
    StoreUnavailable: repeat it then.
    """
    for _ in range(TRIES):
        seen = emails.get(tenant_id, email_id)
        if seen is None:
            raise UnknownEmail(email_id)
        check_reschedulable(seen, send_at=send_at)
        if scheduled.reschedule(seen, send_at=send_at or now, now=now):
            return
    raise TooLate("the email can't be rescheduled: it is being worked on")
