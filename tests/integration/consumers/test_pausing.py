"""Lanes that stand still: a subscription that is stopped and started, and messages fetched one by one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import pytest

from consumers.lane_heads import LOOK_AT, Head, LaneHeads
from consumers.settlement import acknowledge, give_back
from consumers.subscription import Subscription
from delivery.broker.connection import Connection, connect
from delivery.broker.delivery import Message
from delivery.domain.lanes import Lane
from delivery.domain.tenant_lanes import TenantLane
from delivery.use_cases.messages import decode_email, encode_email
from tests.harness.amqp import Outgoing
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value
from tests.integration.topology.conftest import declare_on
from topology.definition import lane_queue, postroom_topology

T = TypeVar("T")
TOPOLOGY = postroom_topology()
PLACES = [TenantLane(lane, tenant_id) for lane in Lane for tenant_id in ("default", "acme")]


@pytest.fixture
def declared(vhost: VirtualHost) -> VirtualHost:
    declare_on(vhost, TOPOLOGY)
    return vhost


def connected(vhost: VirtualHost, work: Callable[[Connection], Awaitable[T]]) -> T:
    async def run() -> T:
        async with asyncio.timeout(120), await connect(vhost.url, name="test") as connection:
            return await work(connection)

    return asyncio.run(run())


def email_id(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012}"


def email_number(message: Message) -> int:
    return int(decode_email(message.body).email_id[-12:])


def publish(vhost: VirtualHost, lane: Lane, numbers: Iterable[int], *, priority: int = 1) -> None:
    messages = [Outgoing(body=encode_email(email_id(number), 1), priority=priority) for number in numbers]
    vhost.amqp.publish("email", lane.value, messages)


async def fetch(heads: LaneHeads, count: int, *, avoid: set[str] | None = None) -> list[Head]:
    """So many heads, none of which goes back."""
    found = [await heads.next(PLACES, avoid=avoid or set()) for _ in range(count)]
    return [head for head in found if head is not None]


def test_the_most_urgent_lane_goes_first_and_in_it_the_highest_priority(declared: VirtualHost) -> None:
    publish(declared, Lane.BULK, [1])
    publish(declared, Lane.CRITICAL, [2, 3])
    publish(declared, Lane.CRITICAL, [4], priority=4)

    async def work(connection: Connection) -> list[Head]:
        return await fetch(LaneHeads(connection), 5)

    heads = connected(declared, work)
    expected = [(Lane.CRITICAL, 4), (Lane.CRITICAL, 2), (Lane.CRITICAL, 3), (Lane.BULK, 1)]
    assert [(head.place.lane, head.email_id) for head in heads] == [
        (lane, email_id(n)) for lane, n in expected
    ]


def test_what_is_avoided_is_passed_over_and_goes_back_to_its_place(declared: VirtualHost) -> None:
    publish(declared, Lane.CRITICAL, range(3))
    publish(declared, Lane.STANDARD, [7])

    async def work(connection: Connection) -> list[str | None]:
        heads = LaneHeads(connection)
        avoided = {email_id(number) for number in range(3)}
        fetched = await fetch(heads, 1, avoid=avoided)
        await acknowledge(head.message for head in fetched)
        fetched += await fetch(heads, 1, avoid=avoided)  # nothing else is left
        await give_back([fetched[-1].message])
        fetched += await fetch(heads, 3)
        return [head.email_id for head in fetched]

    assert connected(declared, work) == [email_id(number) for number in (7, 0, 0, 1, 2)]


def test_only_so_many_of_a_lane_are_looked_at(declared: VirtualHost) -> None:
    publish(declared, Lane.CRITICAL, range(LOOK_AT + 1))
    publish(declared, Lane.BULK, [99])

    async def work(connection: Connection) -> list[Head]:
        avoided = {email_id(number) for number in range(LOOK_AT)}
        return await fetch(LaneHeads(connection), 1, avoid=avoided)

    heads = connected(declared, work)
    assert [(head.email_id, head.is_first) for head in heads] == [(email_id(99), True)]
    wait_for_value(
        lambda: declared.depth("email.critical"), LOOK_AT + 1, within=30, what="the rest is back in its lane"
    )


def test_a_head_says_whether_it_overtakes_what_is_avoided(declared: VirtualHost) -> None:
    publish(declared, Lane.CRITICAL, range(2))

    async def work(connection: Connection) -> list[Head]:
        heads = LaneHeads(connection)
        overtaking = await fetch(heads, 1, avoid={email_id(0)})
        return overtaking + await fetch(heads, 1, avoid={email_id(0)})

    heads = connected(declared, work)
    assert [(head.email_id, head.is_first) for head in heads] == [(email_id(1), False), (email_id(0), True)]


def test_a_tenants_own_queue_is_looked_into_whether_it_is_there_or_not(declared: VirtualHost) -> None:
    async def work(connection: Connection) -> list[Head]:
        heads = LaneHeads(connection)
        assert await fetch(heads, 1) == []
        message = Outgoing(body=encode_email(email_id(1), 1))
        await asyncio.to_thread(declared.amqp.publish, "", "email.bulk.acme", [message])
        return await fetch(heads, 1)

    (head,) = connected(declared, work)
    assert (head.place, head.email_id) == (TenantLane(Lane.BULK, "acme"), email_id(1))


def test_a_message_of_no_email_is_fetched_as_such(declared: VirtualHost) -> None:
    declared.amqp.publish("email", "critical", [Outgoing(body=b"garbage")])

    async def work(connection: Connection) -> list[Head]:
        return await fetch(LaneHeads(connection), 2)

    (head,) = connected(declared, work)
    assert head.email_id is None


def test_a_subscription_that_is_stopped_takes_nothing_until_it_is_started_again(
    declared: VirtualHost,
) -> None:
    async def work(connection: Connection) -> list[tuple[int, int]]:
        arrived: asyncio.Queue[Message] = asyncio.Queue()
        lane = Subscription(lane_queue("bulk"), prefetch=2, arrived=arrived.put_nowait)
        seen = []
        for number in range(3):
            await lane.start(connection)
            await lane.start(connection)  # twice is once
            await asyncio.to_thread(publish, declared, Lane.BULK, [number])
            await acknowledge([await arrived.get()])
            await lane.stop()
            await lane.stop()
            await asyncio.to_thread(publish, declared, Lane.BULK, [number])
            heads = await fetch(LaneHeads(connection), 1)
            seen.append((arrived.qsize(), len(heads)))
            await acknowledge(head.message for head in heads)
        return seen

    assert connected(declared, work) == [(0, 1)] * 3


def test_a_subscription_that_is_resized_loses_nothing_and_holds_so_many_from_then_on(
    declared: VirtualHost,
) -> None:
    publish(declared, Lane.BULK, range(20))

    async def work(connection: Connection) -> list[int]:
        arrived: asyncio.Queue[Message] = asyncio.Queue()
        lane = Subscription(lane_queue("bulk"), prefetch=8, arrived=arrived.put_nowait)
        await lane.start(connection)
        first = [await arrived.get() for _ in range(8)]
        await lane.resize(2)
        more = [await arrived.get() for _ in range(2)]
        await acknowledge(first)
        held = arrived.qsize()
        await lane.resize(4)
        more += [await arrived.get() for _ in range(4)]
        await acknowledge(more)
        rest = [await arrived.get() for _ in range(4)]
        seen = [email_number(message) for message in (*first, *more, *rest)]
        await lane.stop()
        await lane.resize(8)  # it stays stopped
        await give_back(rest)
        return [*seen, held]

    *seen, held = connected(declared, work)
    assert (seen, held) == (list(range(18)), 0)
    wait_for_value(lambda: declared.depth("email.bulk"), 6, within=30, what="the rest is back")


def test_a_subscription_that_is_stopped_stays_so_over_a_new_connection(declared: VirtualHost) -> None:
    async def work(connection: Connection) -> int:
        arrived: asyncio.Queue[Message] = asyncio.Queue()
        lane = Subscription(lane_queue("bulk"), prefetch=2, arrived=arrived.put_nowait)
        await lane.start(connection)
        await lane.stop()
        back = asyncio.Event()
        connection.reconnect_callbacks.add(lambda *_: back.set())
        await asyncio.to_thread(publish, declared, Lane.BULK, [1])
        await connection.reconnect()
        heads = await fetch(LaneHeads(connection), 1)
        await give_back(head.message for head in heads)
        await lane.start(connection)
        await acknowledge([await arrived.get()])
        return len(heads)

    assert connected(declared, work) == 1
