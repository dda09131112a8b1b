import asyncio
from collections.abc import Sequence

import pytest

from consumers.batch_consumer import BatchConsumer, Refusal, Work
from delivery.broker.delivery import Message
from delivery.domain.errors import InvalidRequest, NotStored, StoreUnavailable
from tests.unit.consumers.fakes import Incoming, Publisher, consume
from topology import names
from topology.definition import postroom_topology


def _consumed(work: Work, *messages: Incoming, publisher: Publisher | None = None) -> list[list[str]]:
    """Consume until every message is settled; returns each one's verdicts."""

    def make() -> BatchConsumer:
        return BatchConsumer(
            names.REQUEUE_QUEUE,
            prefetch=10,
            work=work,
            publisher=publisher or Publisher(),
            topology=postroom_topology(delay_steps=[]),
        )

    asyncio.run(consume(make, messages))
    return [message.verdicts for message in messages]


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
