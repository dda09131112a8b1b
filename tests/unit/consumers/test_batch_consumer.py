import asyncio
from collections.abc import Sequence

import pytest

from consumers.batch_consumer import BatchConsumer, Refusal, Work
from delivery.broker.delivery import Message
from delivery.domain.errors import InvalidRequest, NotStored, StoreUnavailable
from tests.unit.consumers.fakes import Incoming, Publisher, consume, incoming
from topology import names
from topology.definition import postroom_topology


def _consumed(work: Work, *messages: Incoming, publisher: Publisher | None = None) -> list[list[str]]:
    """Consume until every message is settled; returns each one's verdicts."""

    asyncio.run(consume(lambda: _consumer(work, publisher), messages))
    return [message.verdicts for message in messages]


def _consumer(work: Work, publisher: Publisher | None = None, *, pause: float = 0.0) -> BatchConsumer:
    return BatchConsumer(
        names.REQUEUE_QUEUE,
        prefetch=10,
        work=work,
        publisher=publisher or Publisher(),
        topology=postroom_topology(delay_steps=[]),
        pause=pause,
    )


def _raising(error: Exception, *, for_body: bytes) -> Work:
    async def work(batch: Sequence[Message]) -> Sequence[Refusal]:
        if for_body in [message.body for message in batch]:
            raise error
        return ()

    return work


def test_what_waits_is_worked_on_in_one_go() -> None:
    batches: list[int] = []

    async def work(batch: Sequence[Message]) -> Sequence[Refusal]:
        batches.append(len(batch))
        return ()

    assert _consumed(work, Incoming(), Incoming(), Incoming()) == [["ack"]] * 3
    assert batches == [3]


def test_what_comes_in_the_pause_after_a_batch_shares_the_next() -> None:
    batches: list[int] = []
    first, *others = messages = [Incoming(), Incoming(), Incoming()]
    made: list[BatchConsumer] = []

    async def work(batch: Sequence[Message]) -> Sequence[Refusal]:
        batches.append(len(batch))
        if len(batches) == 1:
            for delay, message in enumerate(others, start=1):
                asyncio.get_running_loop().call_later(delay / 10, made[0]._arrived, incoming(message))
        return ()

    async def run() -> None:
        made.append(_consumer(work, pause=1.0))
        made[0]._arrived(incoming(first))
        running = asyncio.create_task(made[0].run())
        async with asyncio.timeout(60):
            await asyncio.gather(*(message.settled.wait() for message in messages))
        running.cancel()

    asyncio.run(run())
    assert batches == [1, 2]


def test_what_the_work_refuses_is_kept_with_its_reason_and_the_rest_is_acknowledged() -> None:
    async def work(batch: Sequence[Message]) -> Sequence[Refusal]:
        return [Refusal(batch[0], "no")]

    publisher = Publisher()
    assert _consumed(work, Incoming(), Incoming(), publisher=publisher) == [["ack"], ["ack"]]
    assert [kept.headers["reason"] for kept in publisher.messages] == ["no"]


def test_one_unreadable_message_spoils_no_other() -> None:
    publisher = Publisher()
    work = _raising(InvalidRequest("not an email message"), for_body=b"x")
    assert _consumed(work, Incoming(body=b"a"), Incoming(body=b"x"), publisher=publisher) == [["ack"]] * 2
    assert [kept.body for kept in publisher.messages] == [b"x"]


@pytest.mark.parametrize("error", [ValueError("ours"), NotStored("x"), KeyError("x")])
def test_a_fault_of_ours_is_never_blamed_on_the_sender(error: Exception) -> None:
    publisher = Publisher()
    work = _raising(error, for_body=b"x")
    assert _consumed(work, Incoming(body=b"a"), Incoming(body=b"x"), publisher=publisher) == [
        ["ack"],
        ["nack"],
    ]
    assert publisher.messages == []


def test_while_the_store_is_away_messages_stay_unacknowledged_and_are_tried_again() -> None:
    answers: list[Exception | None] = [StoreUnavailable("away"), StoreUnavailable("away"), None]
    batches: list[int] = []

    async def work(batch: Sequence[Message]) -> Sequence[Refusal]:
        batches.append(len(batch))
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return ()

    assert _consumed(work, Incoming(), Incoming()) == [["ack"], ["ack"]]
    assert batches == [2, 2, 2]
