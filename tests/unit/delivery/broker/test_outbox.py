import asyncio
from collections.abc import Sequence

import pytest

from delivery.broker.outbox import MAX_BATCH, MAX_WAITING, Outbox
from delivery.domain.errors import StoreUnavailable
from delivery.domain.owed import OwedEvent
from delivery.use_cases.publish_owed import Owed


def debts(count: int, *, first: int = 0) -> list[OwedEvent]:
    return [OwedEvent(event_id=str(number)) for number in range(first, first + count)]


class Broker:
    """Publishes batches; raises the errors it is given, one a batch."""

    def __init__(self, *errors: Exception) -> None:
        self.batches: list[list[Owed]] = []
        self.errors = list(errors)
        self.has_published = asyncio.Event()

    async def publish(self, owed: Sequence[Owed]) -> int:
        self.batches.append(list(owed))
        self.has_published.set()
        if self.errors:
            raise self.errors.pop(0)
        return len(owed)

    @property
    def published(self) -> list[Owed]:
        return [debt for batch in self.batches for debt in batch]


async def _run(broker: Broker, *batches: Sequence[Owed]) -> None:
    """Hand these over one after the other and wait until each is published."""
    outbox = Outbox(broker.publish)
    running = asyncio.create_task(outbox.run())
    for batch in batches:
        outbox.hand_over(batch)
        await outbox.drained()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_what_is_handed_over_is_published_in_order() -> None:
    broker = Broker()
    asyncio.run(_run(broker, debts(3)))
    assert broker.batches == [debts(3)]


def test_what_arrives_together_is_published_together_up_to_a_most() -> None:
    broker = Broker()
    asyncio.run(_run(broker, debts(MAX_BATCH + 1)))
    assert [len(batch) for batch in broker.batches] == [MAX_BATCH, 1]


def test_nothing_handed_over_publishes_nothing() -> None:
    broker = Broker()
    asyncio.run(_run(broker, []))
    assert broker.batches == []


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("closed"), KeyError("bug")])
def test_whatever_a_batch_meets_the_next_one_is_published(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(error)
    asyncio.run(_run(broker, debts(2), debts(2, first=2)))
    assert broker.published == debts(4)
    assert "count=2" in caplog.text


def test_what_is_beyond_the_room_is_left_to_the_relay() -> None:
    broker = Broker()
    asyncio.run(_run(broker, debts(MAX_WAITING + 10)))
    assert broker.published == debts(MAX_WAITING)


def test_another_thread_can_hand_over_and_does_not_wait() -> None:
    broker = Broker()

    async def from_a_thread() -> None:
        outbox = Outbox(broker.publish)
        await asyncio.to_thread(outbox.hand_over_from_thread, debts(2))
        running = asyncio.create_task(outbox.run())
        await broker.has_published.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(from_a_thread())
    assert broker.published == debts(2)
