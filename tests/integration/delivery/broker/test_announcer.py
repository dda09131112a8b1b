"""The announcer against a real broker: who subscribes hears all, and where nobody does next to nothing is
published."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from pamqp.common import FieldTable

from delivery.broker.announcer import Announcer
from delivery.broker.publisher import Publisher
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value
from tests.harness.logged import logged_here
from topology import names
from topology.definition import postroom_topology

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MANY = 20
TURNS = 3
"""Of the loop, until what happened is being published."""


def happened(
    numbers: Sequence[int], *, lane: Lane = Lane.BULK, state: State = State.DELIVERED
) -> list[Happening]:
    return [
        Happening(tenant_id="default", email_id=str(number), lane=lane, state=state, at=AT)
        for number in numbers
    ]


class Telling:
    """An announcer on a connection of its own, and a subscriber's channel."""

    def __init__(self, announcer: Announcer, channel: AbstractChannel) -> None:
        self._announcer = announcer
        self.channel = channel

    async def tell(self, *batches: Sequence[Happening]) -> None:
        """Each while the one before is on its way; returns when all are told."""
        for batch in batches:
            self._announcer.tell(batch)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        await self._announcer.drained()

    async def wait_for_published(self, vhost: VirtualHost, count: int) -> None:
        """How many messages the exchange has had so far. The broker's counts lag, and those of a channel that
        is closed at once may never come."""
        await asyncio.to_thread(_wait_for_published, vhost, count)

    async def queue(self, key: str | None = None, *, arguments: FieldTable | None = None) -> AbstractQueue:
        queue = await self.channel.declare_queue(exclusive=True, arguments=arguments)
        if key is not None:
            await queue.bind(names.EVENTS_EXCHANGE, key)
        return queue


@asynccontextmanager
async def telling(vhost: VirtualHost) -> AsyncIterator[Telling]:
    publisher = Publisher(vhost.url, name="test", topology=postroom_topology())
    await publisher.connect()
    announcer = Announcer(publisher)
    running = asyncio.create_task(announcer.run())
    try:
        async with await aio_pika.connect(vhost.url) as connection:
            yield Telling(announcer, await connection.channel())
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await publisher.close()


async def heard(queue: AbstractQueue) -> list[tuple[str, int]]:
    """Key and email of all that is in the queue, in its order."""
    told = []
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        told.append((message.routing_key or "", int(json.loads(message.body)["email_id"])))
    return told


async def emails_heard(queue: AbstractQueue) -> list[int]:
    return [email for _, email in await heard(queue)]


def _wait_for_published(vhost: VirtualHost, count: int) -> None:
    def published() -> int:
        exchange = vhost.server.management.request("GET", "exchanges", vhost.name, names.EVENTS_EXCHANGE)
        return int(exchange.get("message_stats", {}).get("publish_in", 0))

    wait_for_value(published, count, within=60, what=f"{count} messages were published")


def test_where_nobody_subscribes_only_one_message_a_batch_is_published(
    vhost: VirtualHost, caplog: pytest.LogCaptureFixture
) -> None:
    async def tell() -> None:
        async with telling(vhost) as told:
            for _ in range(10):
                await told.tell(happened(range(MANY)))
            await told.wait_for_published(vhost, MANY + 9)

    asyncio.run(tell())
    assert not logged_here(caplog)  # and nothing is declared again


def test_who_subscribes_hears_all_in_order_and_who_no_longer_does_is_not_told(vhost: VirtualHost) -> None:
    async def tell() -> list[int]:
        async with telling(vhost) as told:
            await told.tell(happened(range(MANY)))
            queue = await told.queue("default.#")
            for start in (0, MANY, 2 * MANY):
                await told.tell(happened(range(start, start + MANY)))
            await queue.unbind(names.EVENTS_EXCHANGE, "default.#")
            for _ in range(5):
                await told.tell(happened(range(MANY)))
            await told.wait_for_published(vhost, MANY + 3 * MANY + MANY + 4)
            return await emails_heard(queue)

    assert asyncio.run(tell()) == list(range(3 * MANY))


def test_who_subscribes_to_some_keys_hears_all_of_them(vhost: VirtualHost) -> None:
    states = (State.SUBMITTED, State.DELIVERED)

    async def tell() -> list[tuple[str, int]]:
        async with telling(vhost) as told:
            queue = await told.queue("*.critical.#")
            for number in range(0, 5 * MANY, MANY):
                await told.tell(
                    [
                        happening
                        for each in range(number, number + MANY)
                        for lane in Lane
                        for state in states
                        for happening in happened([each], lane=lane, state=state)
                    ]
                )
            return await heard(queue)

    assert asyncio.run(tell()) == [
        (f"default.critical.{state.value}", number) for number in range(5 * MANY) for state in states
    ]


def test_who_binds_while_much_happens_hears_all_from_then_on(vhost: VirtualHost) -> None:
    """Again and again, so that bindings come before, between and behind what asks."""

    async def bind(told: Telling, numbers: list[int]) -> tuple[AbstractQueue, int]:
        queue = await told.queue("default.bulk.*")
        return queue, len(numbers)

    async def tell() -> None:
        async with telling(vhost) as told:
            for _ in range(20):
                numbers: list[int] = []
                binding = asyncio.create_task(bind(told, numbers))
                rounds_after = 3
                while rounds_after:
                    rounds_after -= binding.done()
                    more = [*range(len(numbers), len(numbers) + MANY)]
                    numbers += more
                    await told.tell(happened(more[: MANY // 2]), happened(more[MANY // 2 :]))
                queue, bound_at = await binding
                emails = await emails_heard(queue)
                assert emails == sorted(set(emails))
                assert set(emails) >= set(numbers[bound_at:])
                await queue.delete()

    asyncio.run(tell())


def test_who_is_bound_through_another_exchange_hears_all(vhost: VirtualHost) -> None:
    async def tell() -> list[int]:
        async with telling(vhost) as told:
            inner = await told.channel.declare_exchange("inner", "fanout", auto_delete=True)
            await inner.bind(names.EVENTS_EXCHANGE, "#")
            await told.tell(happened(range(MANY)))  # no queue yet
            queue = await told.queue()
            await queue.bind(inner)
            for _ in range(2):
                await told.tell(happened(range(MANY)))
            return await emails_heard(queue)

    assert asyncio.run(tell()) == [*range(MANY)] * 2


def test_an_alternate_exchange_gets_all_that_nobody_else_hears(vhost: VirtualHost) -> None:
    def set_alternate() -> None:
        vhost.server.management.request(
            "PUT",
            "policies",
            vhost.name,
            "alternate",
            json={
                "pattern": f"^{names.EVENTS_EXCHANGE}$",
                "definition": {"alternate-exchange": "amq.fanout"},
                "apply-to": "exchanges",
            },
        )

    async def tell() -> list[int]:
        async with telling(vhost) as told:
            await told.tell(happened(range(MANY)))
            await asyncio.to_thread(set_alternate)
            queue = await told.queue()
            await queue.bind("amq.fanout")
            for _ in range(2):
                await told.tell(happened(range(MANY)))
            return await emails_heard(queue)

    assert asyncio.run(tell()) == [*range(MANY)] * 2


def test_a_subscriber_whose_queue_is_full_takes_nothing_from_another(vhost: VirtualHost) -> None:
    """A full queue's no is no return: neither before another is bound, nor beside it."""
    limits: FieldTable = {"x-queue-type": "classic", "x-max-length": 1, "x-overflow": "reject-publish"}

    async def tell() -> tuple[list[int], list[int]]:
        async with telling(vhost) as told:
            full = await told.queue("#", arguments=limits)
            for _ in range(2):
                await told.tell(happened(range(MANY)))
            other = await told.queue("#")
            for _ in range(2):
                await told.tell(happened(range(MANY)))
            await told.wait_for_published(vhost, 4 * MANY)
            return await emails_heard(full), await emails_heard(other)

    assert asyncio.run(tell()) == ([0], [*range(MANY)] * 2)
