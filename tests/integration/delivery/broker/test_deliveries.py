"""Deliveries over a real broker: what arrives is what was published, and each verdict reaches its message."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from aio_pika.exceptions import ChannelNotFoundEntity

from consumers.settlement import acknowledge, give_back
from consumers.subscription import Subscription
from delivery.broker.connection import Connection, connect
from delivery.broker.delivery import Delivery, Message
from tests.harness.amqp import Outgoing
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value
from tests.integration.topology.conftest import declare_on
from topology.definition import lane_queue, postroom_topology

T = TypeVar("T")
HELD = 20


class Taking:
    """A subscription to the bulk lane."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.arrived: asyncio.Queue[Message] = asyncio.Queue()
        self.lane = Subscription(lane_queue("bulk"), prefetch=HELD, arrived=self.arrived.put_nowait)

    async def take(self, count: int) -> list[Delivery]:
        found = [await self.arrived.get() for _ in range(count)]
        deliveries = [message for message in found if isinstance(message, Delivery)]
        assert len(deliveries) == count  # and none came the slow way
        return deliveries


@pytest.fixture
def declared(vhost: VirtualHost) -> VirtualHost:
    declare_on(vhost, postroom_topology())
    return vhost


def taking(vhost: VirtualHost, work: Callable[[Taking], Awaitable[T]]) -> T:
    async def run() -> T:
        async with asyncio.timeout(120), await connect(vhost.url, name="test") as connection:
            taken = Taking(connection)
            await taken.lane.start(connection)
            return await work(taken)

    return asyncio.run(run())


def publish(vhost: VirtualHost, bodies: Sequence[bytes]) -> None:
    vhost.amqp.publish("email", "bulk", [Outgoing(body=body, priority=1) for body in bodies])


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_a_delivery_has_all_that_was_published(declared: VirtualHost) -> None:
    sent = Outgoing(
        body=bytes(range(256)) * 1200,  # more than one frame takes
        message_id="m-1",
        user_id=declared.server.user,
        reply_to="reply.x",
        correlation_id="c-1",
        content_type="text/plain",
        priority=3,
        headers={"one": 1, "two": "zwei"},
        timestamp=datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC),
    )
    empty = Outgoing(body=b"", content_type=None)
    declared.amqp.publish("email", "bulk", [sent])
    declared.amqp.publish("email", "bulk", [empty])

    async def work(bulk: Taking) -> list[Delivery]:
        return await bulk.take(2)

    got, nothing = taking(declared, work)
    assert (got.body, got.routing_key, got.redelivered) == (sent.body, "bulk", False)
    assert (got.priority, got.timestamp, got.headers) == (sent.priority, sent.timestamp, sent.headers)
    assert (got.message_id, got.user_id, got.reply_to) == (sent.message_id, sent.user_id, sent.reply_to)
    assert (got.correlation_id, got.content_type) == (sent.correlation_id, sent.content_type)
    assert (nothing.body, nothing.timestamp, nothing.content_type, nothing.headers) == (b"", None, None, {})


def test_whatever_the_order_of_the_verdicts_the_broker_keeps_what_was_not_acknowledged(
    declared: VirtualHost,
) -> None:
    publish(declared, numbered(HELD))

    async def work(bulk: Taking) -> None:
        held = await bulk.take(HELD)
        await acknowledge(held[5:8])
        await acknowledge([*held[0:2], held[10]])
        await give_back(held[11:13])
        await acknowledge(held[2:6])  # one of them again
        back = await bulk.take(2)
        assert all(message.redelivered for message in back)
        await acknowledge(held[13:])

    taking(declared, work)
    wait_for_value(lambda: declared.depth("email.bulk"), 4, within=30, what="8, 9, 11 and 12 are left")


def test_a_verdict_on_what_came_over_a_lost_connection_harms_nothing(declared: VirtualHost) -> None:
    publish(declared, numbered(HELD))

    async def work(bulk: Taking) -> None:
        before = await bulk.take(HELD)
        await bulk.connection.reconnect()
        await acknowledge(before)
        again = await bulk.take(HELD)
        assert {message.body for message in again} == {message.body for message in before}
        await give_back(before)
        await acknowledge(again[1:])
        await asyncio.to_thread(publish, declared, [b"new"])
        (new,) = await bulk.take(1)
        assert new.body == b"new"

    taking(declared, work)
    wait_for_value(lambda: declared.depth("email.bulk"), 2, within=30, what="two are left")


def test_a_verdict_on_what_came_over_a_channel_that_the_broker_closed_harms_nothing(
    declared: VirtualHost,
) -> None:
    publish(declared, numbered(HELD))

    async def work(bulk: Taking) -> None:
        before = await bulk.take(HELD)
        assert bulk.lane._queue is not None
        with pytest.raises(ChannelNotFoundEntity):
            await bulk.lane._queue.channel.declare_queue("no such queue", passive=True)
        again = await bulk.take(HELD)
        await acknowledge(before)
        await acknowledge(again[:5])
        await asyncio.to_thread(publish, declared, [b"new"])
        (new,) = await bulk.take(1)
        assert new.body == b"new"

    taking(declared, work)
    wait_for_value(lambda: declared.depth("email.bulk"), HELD - 4, within=30, what="all but five are left")


def test_a_verdict_behind_aiormqs_own_close_of_a_channel_costs_the_connection_nothing(
    declared: VirtualHost,
) -> None:
    """aiormq closes a channel when a call over it is not answered in time, say."""
    publish(declared, numbered(HELD))

    async def work(bulk: Taking) -> None:
        other = await bulk.connection.channel()
        before = await bulk.take(HELD)
        assert bulk.lane._queue is not None
        channel = await bulk.lane._queue.channel.get_underlay_channel()
        closing = asyncio.create_task(channel.close())
        while not before[0].channel.is_closed:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0)
        await acknowledge(before)
        await closing
        await other.declare_queue("email.bulk", passive=True)
        assert not channel.connection.is_closed

    taking(declared, work)
    wait_for_value(lambda: declared.depth("email.bulk"), HELD, within=30, what="all are there again")
