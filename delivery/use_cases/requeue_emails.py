"""Requeue parked emails whose letters a person moved."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from delivery.domain.owed import OwedEmail
from delivery.use_cases.messages import EmailMessage


class ParkedEmails(Protocol):
    def revive(self, letters: Iterable[tuple[str, int]], *, now: datetime) -> list[OwedEmail]: ...


def requeue_emails(
    letters: Sequence[EmailMessage], *, emails: ParkedEmails, now: datetime
) -> list[OwedEmail]:
    """Queue again, with fresh attempts, what these letters stand for; returns what is owed now.

    A letter of another generation, or of an email that is parked no more, changes nothing. Raises
    StoreUnavailable; repeating the call is safe.
    """
    return emails.revive([(letter.email_id, letter.gen) for letter in letters], now=now)
