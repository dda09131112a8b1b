import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest

from delivery.domain.errors import StoreUnavailable
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail
from delivery.use_cases.relay_owed import BATCH, relay_owed
from tests.unit.delivery.builders import NOW, owed_email


class Debts:
    """What each lane owes, and a broker that confirms all but the refused ones."""

    def __init__(self, owed: dict[Lane, int], *, refused: frozenset[str] = frozenset()) -> None:
        self.owed_by = {
            lane: [owed_email(email_id=f"{lane}-{number}", lane=lane) for number in range(count)]
            for lane, count in owed.items()
        }
        self.refused = refused
        self.published: list[str] = []
        self.batches: list[int] = []

    def owed(self, lane: Lane, *, older_than: datetime, limit: int, skip: int) -> list[OwedEmail]:
        assert older_than == NOW
        return self.owed_by.get(lane, [])[skip : skip + limit]

    async def publish(self, owed: Sequence[OwedEmail]) -> int:
        confirmed = [debt for debt in owed if debt.email_id not in self.refused]
        self.batches.append(len(owed))
        self.published += [debt.email_id for debt in confirmed]
        for debt in confirmed:
            self.owed_by[debt.lane].remove(debt)
        return len(confirmed)


async def _always() -> bool:
    return True


def relay(debts: Debts) -> int:
    return asyncio.run(relay_owed(emails=debts, publish=debts.publish, may_go_on=_always, older_than=NOW))


def test_the_most_urgent_lane_is_published_first() -> None:
    debts = Debts({Lane.BULK: 1, Lane.CRITICAL: 1, Lane.STANDARD: 1})
    assert relay(debts) == 3
    assert debts.published == ["critical-0", "standard-0", "bulk-0"]


def test_a_lane_is_emptied_batch_by_batch() -> None:
    debts = Debts({Lane.BULK: 2 * BATCH + 1})
    assert relay(debts) == 2 * BATCH + 1
    assert debts.batches == [BATCH, BATCH, 1]


def test_a_refused_debt_holds_up_none_behind_it() -> None:
    debts = Debts({Lane.BULK: BATCH + 2}, refused=frozenset({"bulk-0"}))
    assert relay(debts) == BATCH + 1
    assert [debt.email_id for debt in debts.owed_by[Lane.BULK]] == ["bulk-0"]


def test_a_lane_of_which_nothing_is_confirmed_holds_up_no_other() -> None:
    debts = Debts({Lane.CRITICAL: 1, Lane.BULK: 1}, refused=frozenset({"critical-0"}))
    assert relay(debts) == 1
    assert debts.published == ["bulk-0"]


def test_the_turn_ends_when_it_may_not_go_on() -> None:
    debts = Debts({Lane.CRITICAL: 1, Lane.BULK: 1})
    answers = iter([True, True])

    async def twice() -> bool:
        return next(answers, False)

    published = asyncio.run(relay_owed(emails=debts, publish=debts.publish, may_go_on=twice, older_than=NOW))
    assert published == 1
    assert debts.published == ["critical-0"]


def test_nothing_owed_publishes_nothing() -> None:
    debts = Debts({})
    assert relay(debts) == 0
    assert debts.batches == []


def test_a_store_that_is_away_ends_the_turn() -> None:
    class Away(Debts):
        def owed(self, lane: Lane, *, older_than: datetime, limit: int, skip: int) -> list[OwedEmail]:
            raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        relay(Away({}))
