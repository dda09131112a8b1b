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
    """Debts by lane, and a broker that confirms as much of each batch as it is told to."""

    def __init__(self, **lanes: int) -> None:
        self.owed_by = {
            Lane(lane): [owed_email(email_id=f"{lane}-{number}", lane=lane) for number in range(count)]
            for lane, count in lanes.items()
        }
        self.published: list[list[str]] = []
        self.confirms = [BATCH] * 100

    def owed(self, lane: Lane, *, older_than: datetime, limit: int) -> list[OwedEmail]:
        assert older_than == NOW
        return self.owed_by.get(lane, [])[:limit]

    async def publish(self, owed: Sequence[OwedEmail]) -> int:
        self.published.append([email.email_id for email in owed])
        confirmed = min(self.confirms.pop(0), len(owed))
        self.owed_by[owed[0].lane] = self.owed_by[owed[0].lane][confirmed:]
        return confirmed

    def relay(self) -> int:
        return asyncio.run(relay_owed(emails=self, publish=self.publish, older_than=NOW))


def test_the_most_urgent_lane_is_published_first() -> None:
    debts = Debts(bulk=1, standard=1, transactional=1, critical=1)
    assert debts.relay() == 4
    assert debts.published == [["critical-0"], ["transactional-0"], ["standard-0"], ["bulk-0"]]


def test_a_lane_is_emptied_batch_by_batch() -> None:
    debts = Debts(bulk=2 * BATCH + 1)
    assert debts.relay() == 2 * BATCH + 1
    assert [len(batch) for batch in debts.published] == [BATCH, BATCH, 1]


def test_the_first_batch_that_is_not_confirmed_whole_ends_the_turn() -> None:
    debts = Debts(critical=BATCH + 10, bulk=1)
    debts.confirms = [BATCH, 3]
    assert debts.relay() == BATCH + 3
    assert len(debts.published) == 2


def test_nothing_owed_publishes_nothing() -> None:
    debts = Debts()
    assert debts.relay() == 0
    assert debts.published == []


def test_a_store_that_is_away_ends_the_turn() -> None:
    class Away(Debts):
        def owed(self, lane: Lane, *, older_than: datetime, limit: int) -> list[OwedEmail]:
            raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        Away().relay()
