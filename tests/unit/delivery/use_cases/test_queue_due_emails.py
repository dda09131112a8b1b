import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from delivery.domain.errors import StoreUnavailable
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail
from delivery.domain.scheduling import DueEmail
from delivery.domain.states import State
from delivery.use_cases.queue_due_emails import BATCH, QueueDueEmails
from tests.unit.delivery.builders import NOW, owed_email, seconds


@dataclass
class Scheduled:
    """In the order of their times. looks: how many were looked for, and where."""

    waiting: dict[Lane, list[DueEmail]] = field(default_factory=lambda: {lane: [] for lane in Lane})
    looks: list[Lane] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    is_away: bool = False

    def put(self, lane: Lane, *email_ids: str, expires_at: datetime | None = None) -> None:
        self.waiting[lane] += [
            DueEmail(email_id=one, tenant_id="acme", expires_at=expires_at) for one in email_ids
        ]

    def due(self, lane: Lane, *, now: datetime, limit: int) -> list[DueEmail]:
        if self.is_away:
            raise StoreUnavailable("away")
        self.looks.append(lane)
        return self.waiting[lane][:limit]

    def queue(self, email_ids: Sequence[str], *, now: datetime) -> list[OwedEmail]:
        lane = self._take(email_ids)
        return [owed_email(email_id=one, lane=lane) for one in email_ids if one not in self.gone]

    def expire(self, email_ids: Sequence[str], *, now: datetime) -> list[str]:
        self._take(email_ids)
        return [one for one in email_ids if one not in self.gone]

    def _take(self, email_ids: Sequence[str]) -> Lane:
        for lane, waiting in self.waiting.items():
            if any(email.email_id in email_ids for email in waiting):
                self.waiting[lane] = [email for email in waiting if email.email_id not in email_ids]
                return lane
        raise AssertionError("queued twice")


@dataclass
class Broker:
    """before_batch: what happens each time before it confirms."""

    refused: set[Lane] = field(default_factory=set)
    published: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    before_batch: Callable[[], None] = lambda: None

    async def publish(self, owed: Sequence[OwedEmail]) -> int:
        self.before_batch()
        confirmed = [debt.email_id for debt in owed if debt.lane not in self.refused]
        self.published += confirmed
        self.sizes.append(len(owed))
        return len(confirmed)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Loop:
    scheduled: Scheduled = field(default_factory=Scheduled)
    broker: Broker = field(default_factory=Broker)
    clock: Clock = field(default_factory=Clock)
    told: list[Happening] = field(default_factory=list)

    def turn(self, *, may_go_on: Callable[[], bool] = lambda: True, page: int = 1000) -> int:
        queue_due = QueueDueEmails(
            emails=self.scheduled,
            publish=self.broker.publish,
            tell=self.told.extend,
            clock=self.clock,
            look_every=seconds(1),
            page=page,
        )
        return asyncio.run(queue_due(may_go_on=may_go_on))


@pytest.fixture
def loop() -> Loop:
    return Loop()


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number:04}" for number in range(count)]


def test_what_is_due_is_published_in_the_order_of_its_time(loop: Loop) -> None:
    due = names("a", 2 * BATCH + 1)
    loop.scheduled.put(Lane.BULK, *due)
    assert loop.turn() == len(due)
    assert loop.broker.published == due
    assert loop.broker.sizes == [BATCH, BATCH, 1]


def test_where_nothing_is_due_every_lane_is_looked_at_once(loop: Loop) -> None:
    assert loop.turn() == 0
    assert loop.scheduled.looks == list(Lane)


def test_the_most_urgent_lane_goes_first(loop: Loop) -> None:
    for lane in reversed(Lane):
        loop.scheduled.put(lane, lane.value)
    loop.turn()
    assert loop.broker.published == list(Lane)


def test_what_becomes_due_in_a_more_urgent_lane_meanwhile_waits_for_no_more_than_a_batch(loop: Loop) -> None:
    loop.scheduled.put(Lane.BULK, *names("bulk", 5 * BATCH))

    def time_passes() -> None:
        loop.clock.now += seconds(1)
        if len(loop.broker.sizes) == 1:
            loop.scheduled.put(Lane.CRITICAL, "critical")

    loop.broker.before_batch = time_passes
    loop.turn()
    assert loop.broker.sizes == [BATCH, BATCH, 1, BATCH, BATCH, BATCH]
    assert loop.broker.published[2 * BATCH] == "critical"


def test_more_than_is_read_at_once_is_read_page_by_page(loop: Loop) -> None:
    due = names("a", 5 * BATCH)
    loop.scheduled.put(Lane.BULK, *due)
    assert loop.turn(page=2 * BATCH) == len(due)
    assert loop.broker.published == due
    assert loop.scheduled.looks.count(Lane.BULK) == 3


def test_what_was_canceled_meanwhile_is_not_published(loop: Loop) -> None:
    loop.scheduled.put(Lane.BULK, "a", "canceled", "b")
    loop.scheduled.gone = {"canceled"}
    assert loop.turn() == 2
    assert loop.broker.published == ["a", "b"]


def test_what_has_expired_by_then_ends_and_is_told(loop: Loop) -> None:
    loop.scheduled.put(Lane.BULK, "over", "canceled", expires_at=NOW)
    loop.scheduled.put(Lane.BULK, "in time", expires_at=NOW + seconds(1))
    loop.scheduled.gone = {"canceled"}
    assert loop.turn() == 1
    assert loop.broker.published == ["in time"]
    assert [(happening.email_id, happening.state) for happening in loop.told] == [("over", State.EXPIRED)]


def test_a_lane_of_which_nothing_is_confirmed_holds_up_no_other(loop: Loop) -> None:
    loop.scheduled.put(Lane.STANDARD, *names("standard", 3 * BATCH))
    loop.scheduled.put(Lane.BULK, "bulk")
    loop.broker.refused = {Lane.STANDARD}
    assert loop.turn() == 1
    assert loop.broker.published == ["bulk"]
    assert len(loop.scheduled.waiting[Lane.STANDARD]) == 2 * BATCH


def test_nothing_more_is_queued_once_the_broker_is_gone(loop: Loop) -> None:
    loop.scheduled.put(Lane.BULK, *names("a", 3 * BATCH))
    assert loop.turn(may_go_on=lambda: not loop.broker.sizes) == BATCH
    assert len(loop.scheduled.waiting[Lane.BULK]) == 2 * BATCH


def test_a_store_that_is_away_ends_the_turn(loop: Loop) -> None:
    loop.scheduled.is_away = True
    with pytest.raises(StoreUnavailable):
        loop.turn()
