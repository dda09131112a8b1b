import asyncio
import threading
from collections.abc import Container, Iterable
from datetime import datetime, timedelta

import pytest

from delivery.broker.strikes import MAX_BATCH, MAX_WAITING, Strikes
from delivery.domain.errors import StoreUnavailable
from delivery.domain.owed import OwedEmail
from tests.unit.delivery.builders import NOW, owed_email, seconds

LONG = seconds(3600)
SOON = timedelta(milliseconds=3)


class Debts:
    """Strikes batches; raises the errors it is given, one a batch. claimed: the emails that owe nothing."""

    def __init__(self, *errors: Exception, claimed: Container[str] = ()) -> None:
        self.claimed = claimed
        self.batches: list[list[OwedEmail]] = []
        self.errors = list(errors)
        self.called = threading.Event()

    def still_owed(self, published: Iterable[OwedEmail]) -> list[OwedEmail]:
        return [debt for debt in published if debt.email_id not in self.claimed]

    def clear_owed(self, published: Iterable[OwedEmail], *, now: datetime) -> None:
        assert now == NOW
        self.batches.append(list(published))
        self.called.set()
        if self.errors:
            raise self.errors.pop(0)

    @property
    def struck(self) -> list[OwedEmail]:
        return [debt for batch in self.batches for debt in batch]


def owed(count: int) -> list[OwedEmail]:
    return [owed_email(email_id=str(number)) for number in range(count)]


async def _drain(debts: Debts, *batches: list[OwedEmail]) -> None:
    strikes = Strikes(debts, relay_grace=LONG, clock=lambda: NOW)
    for batch in batches:
        await strikes.add(batch)
    running = asyncio.create_task(strikes.run())
    await strikes.drained()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_what_was_confirmed_bit_by_bit_is_struck_together() -> None:
    debts = Debts()
    asyncio.run(_drain(debts, *([debt] for debt in owed(10))))
    assert debts.batches == [owed(10)]


def test_a_large_backlog_is_struck_batch_by_batch() -> None:
    debts = Debts()
    asyncio.run(_drain(debts, owed(MAX_BATCH + 1)))
    assert [len(batch) for batch in debts.batches] == [MAX_BATCH, 1]


def test_what_claims_struck_is_not_struck_again() -> None:
    debts = Debts(claimed=["0", "2"])
    asyncio.run(_drain(debts, owed(4)))
    assert [debt.email_id for debt in debts.struck] == ["1", "3"]


def test_where_claims_struck_all_nothing_is_written() -> None:
    debts = Debts(claimed=["0", "1"])
    asyncio.run(_drain(debts, owed(2)))
    assert debts.batches == []


def test_nothing_is_struck_before_its_time_and_all_is_without_another_word() -> None:
    debts = Debts()

    async def wait_for_the_time() -> None:
        strikes = Strikes(debts, relay_grace=SOON, clock=lambda: NOW)
        await strikes.add(owed(2))
        running = asyncio.create_task(strikes.run())
        assert await asyncio.to_thread(debts.called.wait, 30)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(wait_for_the_time())
    assert debts.struck == owed(2)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), KeyError("bug")])
def test_whatever_a_batch_meets_the_next_one_is_struck(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    debts = Debts(error)
    asyncio.run(_drain(debts, owed(MAX_BATCH + 1)))
    assert debts.struck == owed(MAX_BATCH + 1)
    assert f"count={MAX_BATCH}" in caplog.text


def test_what_is_beyond_the_room_is_left_to_the_relay() -> None:
    debts = Debts()
    asyncio.run(_drain(debts, owed(MAX_WAITING), owed(10)))
    assert len(debts.struck) == MAX_WAITING
