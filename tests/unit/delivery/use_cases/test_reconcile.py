from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from delivery.domain.clocks import CLOCK_MARGIN
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.provider_events import PendingEvent
from delivery.domain.questions import CheckPolicy
from delivery.domain.reports import Report
from delivery.domain.states import State
from delivery.use_cases.reconcile import BATCH, Reconciled, reconcile
from tests.unit.delivery.builders import CHECKS, NOW, policy, seconds

GRACE = seconds(5)


def _happening(event: PendingEvent) -> Happening:
    return Happening(
        tenant_id="default", email_id=event.email_id, lane=Lane.BULK, state=State.DELIVERED, at=NOW
    )


class Stuck:
    """A store with so many leases run out and so many events overdue."""

    def __init__(self, *, leases: int = 0, events: int = 0, orphans: int = 0) -> None:
        self.orphans = orphans
        self.leases = leases
        self.events = [
            PendingEvent(
                event_id=str(number), email_id=f"e{number}", report=Report.DELIVERED, received_at=NOW
            )
            for number in range(events)
        ]
        self.batches: list[int] = []
        self.asked: list[datetime] = []

    def run_out(
        self,
        *,
        before: datetime,
        now: datetime,
        deadlines: Mapping[Lane, timedelta],
        policy: CheckPolicy,
        limit: int,
    ) -> list[Happening]:
        self.asked.append(before)
        ran_out, self.leases = min(self.leases, limit), max(0, self.leases - limit)
        return [
            Happening(
                tenant_id="default", email_id=f"l{number}", lane=Lane.BULK, state=State.UNCONFIRMED, at=now
            )
            for number in range(ran_out)
        ]

    def overdue(self, *, older_than: datetime, limit: int) -> list[PendingEvent]:
        self.asked.append(older_than)
        return self.events[:limit]

    def sweep(self, *, now: datetime, limit: int) -> int:
        swept, self.orphans = min(self.orphans, limit), max(0, self.orphans - limit)
        return swept

    def apply(self, pending: Sequence[PendingEvent]) -> list[Happening]:
        self.batches.append(len(pending))
        self.events = self.events[len(pending) :]
        return [_happening(event) for event in pending]

    def reconcile(self) -> Reconciled:
        return reconcile(
            questions=self,
            events=self,
            attachments=self,
            apply=self.apply,
            event_grace=GRACE,
            lanes={lane: policy() for lane in Lane},
            checks=CHECKS,
            now=NOW,
        )


def test_a_turn_settles_leases_that_ran_out_and_events_without_a_message() -> None:
    done = Stuck(leases=2, events=3).reconcile()
    assert (done.run_out, done.applied) == (2, 3)
    assert [happening.email_id for happening in done.happened] == ["l0", "l1", "e0", "e1", "e2"]


def test_however_many_leases_ran_out_they_are_settled_in_one_turn() -> None:
    for leases in (BATCH - 1, BATCH, 2 * BATCH + 1):
        assert Stuck(leases=leases).reconcile().run_out == leases


def test_nothing_stuck_is_nothing_to_do() -> None:
    stuck = Stuck()
    assert stuck.reconcile() == Reconciled(run_out=0, applied=0, happened=[])
    assert stuck.batches == []


def test_clocks_may_differ_and_messages_may_take_their_time() -> None:
    stuck = Stuck()
    stuck.reconcile()
    assert stuck.asked == [NOW - CLOCK_MARGIN, NOW - GRACE]


def test_overdue_events_are_applied_batch_by_batch() -> None:
    stuck = Stuck(events=2 * BATCH + 1)
    assert stuck.reconcile().applied == 2 * BATCH + 1
    assert stuck.batches == [BATCH, BATCH, 1]


def test_a_batch_that_is_just_full_is_looked_behind() -> None:
    stuck = Stuck(events=BATCH)
    assert stuck.reconcile().applied == BATCH
    assert stuck.batches == [BATCH]


def test_a_turn_sweeps_all_attachments_that_no_email_came_to() -> None:
    stuck = Stuck(orphans=2 * BATCH + 1)
    stuck.reconcile()
    assert stuck.orphans == 0
