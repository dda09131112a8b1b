"""The real collections against the email in memory: after every step of any order both stand alike."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from delivery.domain.emails import ClaimedEmail, NewEmail, Standing
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, Written
from delivery.domain.questions import About
from delivery.domain.scheduling import DueEmail
from delivery.domain.states import State
from delivery.domain.unknowns import Questionable
from delivery.domain.waiting import Over, Waiting
from delivery.store.client import Document
from delivery.store.overdue_emails import OverdueEmails
from tests.harness.interleavings import Interleavings
from tests.harness.one_email import OneEmail, Stored
from tests.harness.one_scheduled_email import OneScheduledEmail
from tests.harness.taking_back import TakingBack
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import EMAIL_ID

Answer = TypeVar("Answer")


ORDERS = settings(
    max_examples=30,
    stateful_step_count=15,
    deadline=None,
    phases=(Phase.reuse, Phase.generate),  # over a real store, shrinking takes minutes
    suppress_health_check=list(HealthCheck),
)


def test_whatever_happens_to_an_email_the_store_does_what_the_rules_say(postroom: Store) -> None:
    class BesideTheStore(Interleavings):
        def open_store(self, new: NewEmail) -> OneEmail:
            return _beside(new, postroom)

    run_state_machine_as_test(BesideTheStore, settings=ORDERS)


def test_whoever_takes_an_email_back_the_store_does_what_the_rules_say(postroom: Store) -> None:
    class BesideTheStore(TakingBack):
        def open_store(self, new: NewEmail) -> OneScheduledEmail:
            return _beside(new, postroom)

    run_state_machine_as_test(BesideTheStore, settings=ORDERS)


def _beside(new: NewEmail, store: Store) -> "Beside":
    store.db.emails.delete_one({"_id": EMAIL_ID})
    store.emails.insert([new])
    return Beside(new, store)


class Beside(OneScheduledEmail):
    """Does everything in memory and in the store, and compares what they return and where they stand."""

    def __init__(self, new: NewEmail, store: Store) -> None:
        super().__init__(new)
        self.real = store

    def due_emails(self, lane: Lane, *, now: datetime, limit: int) -> list[DueEmail]:
        due = super().due_emails(lane, now=now, limit=limit)
        return self._same(due, self.real.scheduled.due(lane, now=now, limit=limit))

    def queue(self, email_ids: Sequence[str], *, now: datetime) -> list[OwedEmail]:
        return self._written(super().queue(email_ids, now=now), self.real.scheduled.queue(email_ids, now=now))

    def expire_scheduled(self, email_ids: Sequence[str], *, now: datetime) -> list[str]:
        expired = super().expire_scheduled(email_ids, now=now)
        return self._same(expired, self.real.scheduled.expire(email_ids, now=now))

    def cancel(self, seen: Standing, *, reason: str, now: datetime) -> bool:
        canceled = super().cancel(seen, reason=reason, now=now)
        return self._same(canceled, self.real.scheduled.cancel(seen, reason=reason, now=now))

    def reschedule(self, seen: Standing, *, send_at: datetime, now: datetime) -> bool:
        rescheduled = super().reschedule(seen, send_at=send_at, now=now)
        return self._same(rescheduled, self.real.scheduled.reschedule(seen, send_at=send_at, now=now))

    def claim(self, email_ids: Sequence[str], **claim: Any) -> list[ClaimedEmail]:
        return self._same(super().claim(email_ids, **claim), self.real.claims.claim(email_ids, **claim))

    def expire(self, email_ids: Sequence[str], *, now: datetime) -> list[str]:
        return self._same(super().expire(email_ids, now=now), self.real.claims.expire(email_ids, now=now))

    def settle(self, settled: Any) -> Written:
        return self._moved(super().settle(settled), self.real.claims.settle(settled))

    def give_back(self, claimed: Sequence[ClaimedEmail], *, now: datetime) -> list[OwedEmail]:
        return self._written(
            super().give_back(claimed, now=now), self.real.claims.give_back(claimed, now=now)
        )

    def end(self, emails: Sequence[Waiting], over: Over, *, now: datetime) -> Written:
        real = OverdueEmails(self.real.db)
        return self._moved(super().end(emails, over, now=now), real.end(emails, over, now=now))

    def run_out(self, **lease: Any) -> list[Happening]:
        return self._same(super().run_out(**lease), self.real.questions.run_out(**lease))

    def due(self, about: About, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]:
        due = super().due(about, lane, now=now, limit=limit)
        return self._same(due, self.real.questions.due(about, lane, now=now, limit=limit))

    def undecided(self, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]:
        undecided = super().undecided(lane, now=now, limit=limit)
        return self._same(undecided, self.real.questions.undecided(lane, now=now, limit=limit))

    def conclude(self, verdicts: Any) -> Written:
        return self._moved(super().conclude(verdicts), self.real.questions.conclude(verdicts))

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        real = self.real.emails.standings(email_ids)
        without_reason = {
            email_id: replace(standing, reason=None, send_at=None) for email_id, standing in real.items()
        }
        return self._same(super().standings(email_ids), without_reason)

    def clear_owed(self, published: Iterable[OwedEmail], *, now: datetime) -> None:
        super().clear_owed(published, now=now)
        self.real.emails.clear_owed(published, now=now)
        self._stand_alike()

    def revive(self, letters: Iterable[tuple[str, int]], *, now: datetime) -> list[OwedEmail]:
        return self._written(super().revive(letters, now=now), self.real.emails.revive(letters, now=now))

    def apply(self, changes: Sequence[tuple[Standing, State]], *, now: datetime) -> bool:
        return self._same(super().apply(changes, now=now), self.real.reported.apply(changes, now=now))

    def _moved(self, here: Written, there: Written) -> Written:
        assert there.moved == here.moved
        self._written(here.owed, there.owed)
        return here

    def _written(self, here: list[OwedEmail], there: list[OwedEmail]) -> list[OwedEmail]:
        """What a write returns is owed; it may leave out what others have written."""
        assert {(owed.gen, owed.to) for owed in there} <= {(owed.gen, owed.to) for owed in here}
        return self._same(here, here)

    def _same(self, here: Answer, there: Answer) -> Answer:
        assert there == here
        self._stand_alike()
        return here

    def _stand_alike(self) -> None:
        assert _where_it_stands(self.real.document(EMAIL_ID)) == _where_it_should(self.email)


def _where_it_stands(document: Document) -> dict[str, object]:
    owed, question = document.get("owed"), document.get("question")
    return {
        "state": document["state"],
        "gen": document["gen"],
        "attempts": document["attempts"],
        "calls": document["calls"],
        "waits": document["waits"],
        "due_at": document["due_at"],
        "waiting_since": document["waiting_since"],
        "unreported": document.get("unreported", False),
        "may_be_sent": document.get("may_be_sent", False),
        "scheduled": document.get("scheduled", {}).get("at"),
        "owed": (owed["to"], owed["gen"]) if owed else None,
        "question": {"check_at": None, "decide_at": None, **question} if question else None,
    }


def _where_it_should(email: Stored) -> dict[str, object]:
    return {
        "state": email.state,
        "gen": email.gen,
        "attempts": email.attempts,
        "calls": email.calls,
        "waits": email.waits,
        "due_at": email.due_at,
        "waiting_since": email.waiting_since,
        "unreported": email.unreported,
        "may_be_sent": email.may_be_sent,
        "scheduled": email.due_at if email.state is State.SCHEDULED else None,
        "owed": (email.owed, email.gen) if email.owed else None,
        "question": asdict(email.question) if email.question else None,
    }
