from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from delivery.domain.emails import Standing
from delivery.domain.errors import StoreUnavailable
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.provider_events import PendingEvent
from delivery.domain.recipients import RecipientReport
from delivery.domain.reports import Report
from delivery.domain.states import State
from delivery.use_cases.apply_provider_events import apply_provider_events
from tests.unit.delivery.builders import NOW, seconds, standing


def event(email_id: str, report: Report, *, number: int = 0, recipient: str | None = None) -> PendingEvent:
    return PendingEvent(
        event_id=f"{email_id}-{report}-{number}",
        email_id=email_id,
        report=report,
        received_at=NOW + seconds(number),
        recipient=recipient,
    )


class Store:
    """Emails, and the effects that were recorded. ``meanwhile`` runs before each write, once each."""

    def __init__(self, *standings: Standing) -> None:
        self.emails = {email.email_id: email for email in standings}
        self.effects: dict[str, str] = {}
        self.meanwhile: list[Callable[[], None]] = []
        self.writes = 0
        self.happened: list[Happening] = []

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        return {email_id: self.emails[email_id] for email_id in email_ids if email_id in self.emails}

    def apply(self, changes: Sequence[tuple[Standing, State]], *, now: datetime) -> bool:
        self.writes += 1
        if self.meanwhile:
            self.meanwhile.pop(0)()
        complete = True
        for seen, state in changes:
            email = self.emails[seen.email_id]
            if (email.state, email.calls) == (seen.state, seen.calls):
                self.move(seen.email_id, state)
            else:
                complete = False
        return complete

    def apply_to_recipient(self, item: RecipientReport, *, standing: Standing, state: State | None) -> bool:
        self.writes += 1
        if self.meanwhile:
            self.meanwhile.pop(0)()
        email = self.emails[standing.email_id]
        seen = (standing.state, standing.calls, len(standing.reported))
        if (email.state, email.calls, len(email.reported)) != seen:
            return False
        self.emails[email.email_id] = replace(
            email, state=state or email.state, reported=(*email.reported, item)
        )
        return True

    def move(self, email_id: str, state: State, *, calls: int | None = None) -> None:
        email = self.emails[email_id]
        self.emails[email_id] = replace(email, state=state, calls=email.calls if calls is None else calls)

    def record_effects(self, effects: Mapping[str, Sequence[str]], *, now: datetime) -> None:
        for effect, event_ids in effects.items():
            for event_id in event_ids:
                assert event_id not in self.effects
                self.effects[event_id] = effect

    def take(self, *events: PendingEvent) -> list[str]:
        """Apply these; returns the effects by event, in order."""
        self.happened = apply_provider_events(events, events=self, emails=self, reported=self, now=NOW)
        return [self.effects.get(event.event_id, "pending") for event in events]


def submitted(email_id: str, **changes: object) -> Standing:
    return standing(**{"email_id": email_id, "state": State.SUBMITTED, "calls": 1, **changes})


def test_a_batch_is_applied_in_one_write_and_its_effects_are_recorded() -> None:
    store = Store(submitted("a"), submitted("b"))
    effects = store.take(event("a", Report.DELIVERED), event("b", Report.FAILED))
    assert effects == ["delivered", "failed"]
    assert (store.emails["a"].state, store.emails["b"].state) == (State.DELIVERED, State.FAILED)
    assert store.writes == 1


def test_an_event_for_an_email_that_nobody_knows_is_recorded_as_such() -> None:
    store = Store()
    assert store.take(event("a", Report.DELIVERED)) == ["unknown_email"]
    assert store.happened == []


def test_an_event_that_changes_nothing_is_recorded_as_such() -> None:
    store = Store(submitted("a", state=State.DELIVERED))
    assert store.take(event("a", Report.FAILED)) == ["no_change"]
    assert store.writes == 0
    assert store.happened == []


def test_several_events_of_one_email_are_applied_one_after_the_other() -> None:
    store = Store(submitted("a"))
    effects = store.take(
        event("a", Report.DELIVERED, number=1),
        event("a", Report.FAILED, number=2),
        event("a", Report.COMPLAINED, number=3),
    )
    assert effects == ["delivered", "no_change", "complained"]
    assert [happening.state for happening in store.happened] == [State.DELIVERED, State.COMPLAINED]
    assert store.emails["a"].state is State.COMPLAINED


def test_an_email_that_changed_meanwhile_is_looked_at_again() -> None:
    """The webhook came while the answer was on its way: the answer won the race, the report still counts."""
    store = Store(submitted("a", state=State.SUBMITTING), submitted("b"))
    store.meanwhile = [lambda: store.move("a", State.SUBMITTED)]
    effects = store.take(event("a", Report.DELIVERED), event("b", Report.DELIVERED))
    assert effects == ["delivered", "delivered"]
    assert sorted(happening.email_id for happening in store.happened) == ["a", "b"]
    assert store.emails["a"].state is State.DELIVERED


def test_the_decision_is_made_anew_for_what_the_email_has_become() -> None:
    """A retry began meanwhile: a failure is news of the attempt before."""
    store = Store(submitted("a", state=State.SUBMITTING))
    store.meanwhile = [lambda: store.move("a", State.SUBMITTING, calls=2)]
    assert store.take(event("a", Report.FAILED)) == ["no_change"]
    assert store.emails["a"].state is State.SUBMITTING


def test_another_process_that_applied_the_same_report_is_no_conflict() -> None:
    store = Store(submitted("a"))
    store.meanwhile = [lambda: store.move("a", State.DELIVERED)]
    assert store.take(event("a", Report.DELIVERED)) == ["delivered"]


def test_what_has_no_effect_stays_so_when_others_of_its_batch_met_a_conflict() -> None:
    store = Store(submitted("a"), submitted("b", state=State.COMPLAINED))
    store.meanwhile = [lambda: store.move("a", State.HELD)]
    events = [event(email_id, Report.DELIVERED) for email_id in "abc"]
    assert store.take(*events) == ["delivered", "no_change", "unknown_email"]


def test_it_tells_what_happened_to_whose_email() -> None:
    store = Store(submitted("a", tenant_id="ours", lane=Lane.BULK))
    store.take(event("a", Report.BOUNCED))
    assert store.happened == [
        Happening(
            tenant_id="ours",
            email_id="a",
            lane=Lane.BULK,
            state=State.BOUNCED,
            at=NOW,
            was=State.SUBMITTED,
        )
    ]


def test_an_event_that_never_comes_to_rest_stays_pending_for_the_reconciler() -> None:
    store = Store(submitted("a"))

    def flip() -> None:
        store.move("a", State.SUBMITTED, calls=store.emails["a"].calls + 1)
        store.meanwhile.append(flip)

    store.meanwhile = [flip]
    assert store.take(event("a", Report.DELIVERED)) == ["pending"]
    assert store.happened == []


def test_applying_an_event_again_does_no_harm() -> None:
    store = Store(submitted("a"))
    store.take(event("a", Report.DELIVERED))
    store.effects.clear()
    assert store.take(event("a", Report.DELIVERED)) == ["no_change"]
    assert store.emails["a"].state is State.DELIVERED


def test_effects_are_not_recorded_where_the_write_failed() -> None:
    class Away(Store):
        def apply(self, changes: Sequence[tuple[Standing, State]], *, now: datetime) -> bool:
            raise StoreUnavailable("away")

    store = Away(submitted("a"))
    with pytest.raises(StoreUnavailable):
        store.take(event("a", Report.DELIVERED), event("b", Report.DELIVERED))
    assert store.effects == {}


def test_nothing_pending_writes_nothing() -> None:
    store = Store()
    assert store.take() == []
    assert (store.happened, store.writes) == ([], 0)


def test_two_recipients_equal_reports_are_two() -> None:
    store = Store(submitted("a", recipients=("ann", "ben")))
    effects = store.take(
        event("a", Report.FAILED, number=1, recipient="ann"),
        event("a", Report.FAILED, number=2, recipient="ben"),
    )
    assert effects == ["recipient_failed", "failed"]
    assert [item.recipient for item in store.emails["a"].reported] == ["ann", "ben"]
    assert [happening.state for happening in store.happened] == [State.FAILED]


def test_what_another_process_noted_of_a_recipient_meanwhile_counts() -> None:
    """Each of two processes has the failure of one of two recipients: together they are the email's."""
    store = Store(submitted("a", recipients=("ann", "ben")))
    other = RecipientReport("ann", Report.FAILED, NOW)
    store.meanwhile = [
        lambda: store.emails.update(a=replace(store.emails["a"], reported=(other,))),
    ]
    assert store.take(event("a", Report.FAILED, recipient="ben")) == ["failed"]


def test_a_report_on_somebody_else_changes_nothing() -> None:
    store = Store(submitted("a", recipients=("ann", "ben")))
    assert store.take(event("a", Report.DELIVERED, recipient="dan")) == ["unknown_recipient"]
    assert store.emails["a"].state is State.SUBMITTED


def test_of_one_recipient_it_makes_no_difference_whether_it_is_named() -> None:
    store = Store(submitted("a"))
    assert store.take(event("a", Report.DELIVERED, recipient="ann")) == ["delivered"]


def test_what_was_never_given_to_a_provider_cant_have_been_reported_on() -> None:
    store = Store(submitted("a", state=State.QUEUED, calls=0, recipients=("ann", "ben")))
    assert store.take(event("a", Report.DELIVERED, recipient="ann")) == ["no_change"]
