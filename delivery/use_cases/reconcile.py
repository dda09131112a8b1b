"""The reconciler's work: settle what got stuck because a process died or a message was lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.clocks import CLOCK_MARGIN
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane, LanePolicy
from delivery.domain.provider_events import PendingEvent
from delivery.domain.questions import CheckPolicy

BATCH = 500


class RunOutLeases(Protocol):
    def run_out(
        self,
        *,
        before: datetime,
        now: datetime,
        deadlines: Mapping[Lane, timedelta],
        policy: CheckPolicy,
        limit: int,
    ) -> list[Happening]: ...


class OverdueEvents(Protocol):
    def overdue(self, *, older_than: datetime, limit: int) -> list[PendingEvent]: ...


class OrphanedAttachments(Protocol):
    def sweep(self, *, now: datetime, limit: int) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How many leases had run out, how many events were applied without their message, and what that did."""

    run_out: int = 0
    applied: int = 0
    happened: list[Happening] = field(default_factory=list)


def reconcile(
    *,
    questions: RunOutLeases,
    events: OverdueEvents,
    attachments: OrphanedAttachments,
    apply: Callable[[Sequence[PendingEvent]], list[Happening]],
    event_grace: timedelta,
    lanes: Mapping[Lane, LanePolicy],
    checks: CheckPolicy,
    now: datetime,
) -> Reconciled:
    """One turn. Raises StoreUnavailable; safe to run in several processes at once.

    event_grace: how long a provider event may wait for its message before it is applied without.
    """
    run_out: list[Happening] = []
    while batch := questions.run_out(
        before=now - CLOCK_MARGIN,
        now=now,
        deadlines={lane: policy.unknown_deadline for lane, policy in lanes.items()},
        policy=checks,
        limit=BATCH,
    ):
        run_out += batch
        if len(batch) < BATCH:
            break
    applied = 0
    happened = list(run_out)
    while overdue := events.overdue(older_than=now - event_grace, limit=BATCH):
        happened += apply(overdue)
        applied += len(overdue)
        if len(overdue) < BATCH:
            break
    while attachments.sweep(now=now, limit=BATCH) == BATCH:
        pass
    return Reconciled(run_out=len(run_out), applied=applied, happened=happened)
