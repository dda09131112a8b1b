"""Accept emails: durably stored first, published after; publishing holds up no answer."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from delivery.domain.emails import NewEmail
from delivery.domain.inserted import Inserted
from delivery.domain.owed import OwedEmail, OwedTo


class NewEmails(Protocol):
    def insert(self, new: Sequence[NewEmail]) -> Inserted: ...

    def owing(self, email_ids: Iterable[str]) -> list[OwedEmail]: ...


HandOver = Callable[[Sequence[OwedEmail]], None]
"""Gives debts to this process's publisher without waiting; what it can't take, the relay publishes."""


def accept_emails(new: Sequence[NewEmail], *, emails: NewEmails, hand_over: HandOver) -> Inserted:
    """Store a batch and hand its messages over; tells which were there before and which were not taken.

    Raises StoreUnavailable: nothing was accepted, or (StoreOutcomeUnknown) it may have been; then the
    document owes its message all the same, and the relay publishes it. Repeating the call is safe: what
    the first one stored is then known, and what of it is still owed is handed over now.
    """
    inserted = emails.insert(new)
    not_new = inserted.known | inserted.failed
    hand_over([_owed_by(email) for email in new if _owes(email) and email.email_id not in not_new])
    if inserted.known:
        hand_over(emails.owing(inserted.known))
    return inserted


def _owes(email: NewEmail) -> bool:
    """A scheduled one owes nothing until it is due."""
    return email.request.send_at is None


def _owed_by(email: NewEmail) -> OwedEmail:
    return OwedEmail(
        email_id=email.email_id,
        tenant_id=email.tenant_id,
        gen=1,
        to=OwedTo.LANE,
        lane=email.request.lane,
        priority=email.request.priority,
        due_at=email.accepted_at,
        attempts=0,
        waits=0,
        accepted_at=email.accepted_at,
        since=email.accepted_at,
    )
