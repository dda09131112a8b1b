from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from delivery.domain.errors import StoreUnavailable
from delivery.domain.lanes import Lane, OnUnknown
from delivery.domain.owed import OwedTo, Written
from delivery.domain.questions import About
from delivery.domain.states import State
from delivery.domain.unknowns import Questionable, Verdict
from delivery.use_cases.decide_unknowns import BATCH, Decided, decide_unknowns
from tests.unit.delivery.builders import CHECKS, NOW, overdue, owed_email, policy, unconfirmed

LANES = {lane: policy(5, on_unknown=OnUnknown.HOLD) for lane in Lane} | {
    Lane.CRITICAL: policy(5, on_unknown=OnUnknown.RESEND)
}
DEADLINE = NOW + timedelta(minutes=45)


class Store:
    def __init__(self, *emails: Questionable) -> None:
        self.outcomes = [email for email in emails if email.question.about is About.OUTCOME]
        self.reports = [email for email in emails if email.question.about is About.REPORT]
        self.concluded: dict[str, Verdict] = {}
        self.due_since: set[datetime] = set()
        self.policy = CHECKS
        self.elsewhere: set[str] = set()

    def undecided(self, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]:
        assert limit > 0
        return [email for email in self.outcomes if email.lane is lane][:limit]

    def due(self, about: About, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]:
        assert about is About.REPORT
        assert limit > 0
        self.due_since.add(now)
        return [email for email in self.reports if email.lane is lane][:limit]

    def conclude(self, verdicts: Sequence[tuple[Questionable, Verdict]]) -> Written:
        self.concluded |= {email.email_id: verdict for email, verdict in verdicts}
        moved = [(email, verdict) for email, verdict in verdicts if email.email_id not in self.elsewhere]
        return Written(
            moved=frozenset(email.email_id for email, verdict in moved if verdict.state is not None),
            owed=[
                owed_email(email_id=email.email_id, gen=email.gen + 1, to=verdict.owed)
                for email, verdict in moved
                if verdict.owed
            ],
        )

    def decide(self) -> Decided:
        return decide_unknowns(questions=self, lanes=LANES, policy=self.policy, now=DEADLINE)


def test_each_lane_decides_by_its_own_policy_and_a_request_by_its_own() -> None:
    store = Store(
        unconfirmed(email_id="a", lane=Lane.CRITICAL),
        unconfirmed(email_id="b", lane=Lane.STANDARD),
        unconfirmed(email_id="c", lane=Lane.BULK, on_unknown=OnUnknown.RESEND),
        unconfirmed(email_id="d", lane=Lane.BULK, expires_at=NOW),
    )
    decided = store.decide()
    states = {email_id: verdict.state for email_id, verdict in store.concluded.items()}
    assert states == {"a": State.RETRYING, "b": State.HELD, "c": State.RETRYING, "d": State.EXPIRED}
    assert decided.counts == {State.RETRYING: 2, State.HELD: 1, State.EXPIRED: 1}
    assert [(debt.email_id, debt.to) for debt in decided.owed] == [
        ("a", OwedTo.LANE),
        ("b", OwedTo.HELD),
        ("c", OwedTo.LANE),
    ]
    assert {happening.email_id: happening.state for happening in decided.happened} == states


def test_what_was_settled_meanwhile_is_neither_counted_nor_told() -> None:
    store = Store(unconfirmed(email_id="a"), unconfirmed(email_id="b"))
    store.elsewhere = {"a"}
    decided = store.decide()
    assert decided.counts == {State.HELD: 1}
    assert [happening.email_id for happening in decided.happened] == ["b"]


def test_nothing_undecided_is_nothing_to_do() -> None:
    assert Store().decide() == Decided()


def test_overdue_reports_that_nobody_could_ask_for_count_as_unreported() -> None:
    store = Store(*(overdue(email_id=lane.value, lane=lane) for lane in Lane))
    decided = store.decide()
    assert (decided.unreported, decided.counts, decided.happened) == (4, {}, [])
    assert {verdict.unreported for verdict in store.concluded.values()} == {True}
    assert store.due_since == {DEADLINE - CHECKS.offsets[-1]}, "all their checks would have been made by now"


def test_a_lane_with_offsets_of_its_own_waits_for_its_reports_as_long_as_these_take() -> None:
    store = Store()
    store.policy = replace(CHECKS, lane_offsets=dict.fromkeys(Lane, (timedelta(seconds=20),)))
    store.decide()
    assert store.due_since == {DEADLINE - timedelta(seconds=20)}


def test_a_turn_takes_no_more_than_a_batch_of_each() -> None:
    """The most urgent lanes first, whatever has waited longest."""
    emails = [
        make(email_id=f"{make.__name__} {lane} {number}", lane=lane)
        for lane in (Lane.BULK, Lane.CRITICAL)
        for number in range(BATCH - 1)
        for make in (unconfirmed, overdue)
    ]
    store = Store(*emails)
    decided = store.decide()
    assert decided.unreported == BATCH
    assert decided.counts == {State.RETRYING: BATCH - 1, State.HELD: 1}
    assert decided.is_full


def test_what_is_less_than_a_batch_is_all_there_is() -> None:
    assert not Store(*(unconfirmed(email_id=f"{number}") for number in range(BATCH - 1))).decide().is_full


def test_without_checks_no_report_is_ever_asked_for() -> None:
    store = Store()
    decide_unknowns(questions=store, lanes=LANES, policy=replace(CHECKS, offsets=()), now=DEADLINE)
    assert store.due_since == set()


def test_a_store_that_is_away_decides_nothing() -> None:
    class Away(Store):
        def conclude(self, verdicts: Sequence[tuple[Questionable, Verdict]]) -> Written:
            raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        Away(unconfirmed()).decide()
