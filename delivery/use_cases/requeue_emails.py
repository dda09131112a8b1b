"""Requeue parked emails whose letters a person moved."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from delivery.domain.emails import Standing
from delivery.domain.happenings import Happening, happening_of
from delivery.domain.owed import OwedEmail
from delivery.domain.states import State
from delivery.use_cases.messages import EmailMessage


class ParkedEmails(Protocol):
    def revive(self, letters: Iterable[tuple[str, int]], *, now: datetime) -> list[OwedEmail]: ...

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """What the revived emails owe now, and what happened to them."""

    owed: list[OwedEmail] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)


def requeue_emails(letters: Sequence[EmailMessage], *, emails: ParkedEmails, now: datetime) -> Requeued:
    """Queue again, with fresh attempts, what these letters stand for.

    A letter of another generation, or of an email that is parked no more, changes nothing. Raises
    StoreUnavailable; repeating the call is safe.
    """
    before = emails.standings([letter.email_id for letter in letters])
    owed = emails.revive([(letter.email_id, letter.gen) for letter in letters], now=now)
    revived = [before[debt.email_id] for debt in owed if debt.email_id in before]
    return Requeued(owed=owed, happened=[happening_of(email, State.QUEUED, at=now) for email in revived])
