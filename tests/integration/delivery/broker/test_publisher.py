"""The publisher against a real broker: three verdicts, many in flight, and coming back by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from delivery.broker.publisher import Publisher
from delivery.use_cases.messages import Outgoing, Verdict
from stack.management import put_postroom
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value, wait_until
from tests.harness.line import Line
from topology import names
from topology.definition import postroom_topology

TOPOLOGY = postroom_topology(delay_steps=["1s"])
C, U, RETURNED = Verdict.CONFIRMED, Verdict.UNKNOWN, Verdict.RETURNED


def message(number: int = 0, *, lane: str = "bulk", exchange: str = names.EMAIL_EXCHANGE) -> Outgoing:
    return Outgoing(exchange=exchange, routing_key=lane, body=b"%d" % number, priority=1)


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(url, name="test", topology=TOPOLOGY)
    await publisher.connect()
    try:
        yield publisher
    finally:
        await publisher.close()


async def until(condition: Callable[[], bool], *, what: str) -> None:
    """Wait on a thread, so that the publisher's loop goes on."""
    await asyncio.to_thread(wait_until, condition, within=60, what=what)


@pytest.fixture
def line(vhost: VirtualHost, line_to: Callable[[int], Line]) -> Line:
    return line_to(vhost.server.port)


@pytest.fixture
def line_url(vhost: VirtualHost, line: Line) -> str:
    return line.over(vhost.url)


def test_a_batch_is_confirmed_with_many_in_flight(vhost: VirtualHost) -> None:
    async def publish() -> list[Verdict]:
        async with publishing(vhost.url) as publisher:
            assert publisher.is_connected
            return await publisher.publish([message(number) for number in range(1000)])

    assert asyncio.run(publish()) == [C] * 1000
    wait_for_value(lambda: vhost.depth("email.bulk"), 1000, within=30, what="all are in the queue")


def test_what_is_published_says_what_it_should(vhost: VirtualHost) -> None:
    outgoing = Outgoing(
        exchange=names.EMAIL_EXCHANGE,
        routing_key=names.DEAD_KEY,
        body=b"{}",
        priority=4,
        headers={"reason": "why", "attempts": 3},
        correlation_id="c",
    )

    async def publish() -> list[Verdict]:
        async with publishing(vhost.url) as publisher:
            return await publisher.publish([outgoing, outgoing])

    assert asyncio.run(publish()) == [C, C]
    wait_for_value(lambda: vhost.depth(names.DEAD_QUEUE), 2, within=30, what="both are in the queue")
    one, other = vhost.amqp.take(names.DEAD_QUEUE), vhost.amqp.take(names.DEAD_QUEUE)
    assert one is not None
    assert other is not None
    assert (one.body, one.priority, one.correlation_id) == (b"{}", 4, "c")
    assert one.content_type == "application/json"
    assert (one.headers["reason"], one.headers["attempts"]) == ("why", 3)
    assert one.delivery_mode == 2
    assert one.message_id != other.message_id


def test_each_message_has_a_verdict_of_its_own(vhost: VirtualHost) -> None:
    """What has no queue is returned; what has no exchange has closed the channel, and is anybody's guess."""

    async def publish() -> tuple[list[Verdict], list[Verdict]]:
        async with publishing(vhost.url) as publisher:
            mixed = [message(number, lane="bulk" if number % 2 else "nowhere") for number in range(100)]
            first = await publisher.publish(mixed)
            await publisher.publish([message(exchange="no.such.exchange")])
            await until(lambda: publisher.is_connected, what="its channel is open again")
            return first, await publisher.publish([message()])

    first, after = asyncio.run(publish())
    assert first == [RETURNED, C] * 50
    assert after == [C]


def test_a_tenants_queue_is_there_before_its_first_message_also_after_a_delay(vhost: VirtualHost) -> None:
    def of_acme(*, exchange: str = names.EMAIL_EXCHANGE) -> Outgoing:
        return replace(message(lane="bulk.acme", exchange=exchange), lane_key="bulk.acme")

    async def publish() -> list[Verdict]:
        async with publishing(vhost.url) as publisher:
            delayed = await publisher.publish([of_acme(exchange="delay.1s")] * 3)
            await until(lambda: vhost.depth("email.bulk.acme") == 3, what="the delayed are there")
            return delayed + await publisher.publish([of_acme()] * 3)

    assert asyncio.run(publish()) == [C] * 6
    assert vhost.depth("email.bulk.acme") == 6
    assert vhost.depth("unrouted") == 0


def test_a_tenants_queue_that_somebody_deleted_is_made_again(vhost: VirtualHost) -> None:
    of_acme = replace(message(lane="bulk.acme"), lane_key="bulk.acme")

    async def publish() -> None:
        async with publishing(vhost.url) as publisher:
            assert await publisher.publish([of_acme]) == [C]
            await asyncio.to_thread(
                vhost.server.management.request, "DELETE", "queues", vhost.name, "email.bulk.acme"
            )
            assert await publisher.publish([of_acme]) == [RETURNED]
            loop = asyncio.get_running_loop()

            def is_confirmed() -> bool:
                """As the relay does."""
                again = asyncio.run_coroutine_threadsafe(publisher.publish([of_acme]), loop)
                return again.result(30) == [C]

            await until(is_confirmed, what="its queue is there again")

    asyncio.run(publish())


def test_an_exchange_that_somebody_deleted_is_made_again(vhost: VirtualHost) -> None:
    """Its absence closes the channel, and leaves all that was published with it unknown."""
    delayed = message(exchange="delay.1s")

    async def publish() -> None:
        async with publishing(vhost.url) as publisher:
            assert await publisher.publish([delayed]) == [C]
            await asyncio.to_thread(
                vhost.server.management.request, "DELETE", "exchanges", vhost.name, "delay.1s"
            )
            assert await publisher.publish([delayed]) == [U]
            loop = asyncio.get_running_loop()

            def all_are_confirmed() -> bool:
                """As the relay does."""
                again = asyncio.run_coroutine_threadsafe(publisher.publish([delayed, message()]), loop)
                return again.result(30) == [C, C]

            await until(all_are_confirmed, what="the exchange is there again")

    asyncio.run(publish())


def test_a_reply_that_nobody_awaits_is_no_fault(vhost: VirtualHost) -> None:
    reply = Outgoing(exchange="", routing_key="amq.rabbitmq.reply-to.gone", body=b"{}", mandatory=False)

    async def publish() -> list[Verdict]:
        async with publishing(vhost.url) as publisher:
            return [*await publisher.publish([reply]), *await publisher.publish([message()])]

    assert asyncio.run(publish())[-1] is C


def test_while_the_broker_is_away_a_publish_is_unknown_and_it_comes_back_by_itself(
    vhost: VirtualHost, line: Line, line_url: str
) -> None:
    async def publish() -> tuple[list[Verdict], list[Verdict]]:
        async with publishing(line_url) as publisher:
            line.cut()
            away = await publisher.publish([message()])
            await until(lambda: not publisher.is_connected, what="it is known to be away")
            away += await publisher.publish([message(), message()])
            line.restore()
            await until(lambda: publisher.is_connected, what="it is connected again")
            await until(lambda: publisher.returns == 1, what="its return is counted")
            return away, await publisher.publish([message(9)])

    assert asyncio.run(publish()) == ([U] * 3, [C])
    wait_for_value(lambda: vhost.depth("email.bulk"), 1, within=30, what="only the last one is there")


def test_a_broker_that_says_nothing_makes_a_publish_unknown(
    vhost: VirtualHost, line: Line, line_url: str
) -> None:
    """It may be there all the same: that is why nobody publishes it again but the relay."""

    async def publish() -> tuple[list[Verdict], list[Verdict]]:
        async with publishing(line_url) as publisher:
            line.stall()
            stalled = await publisher.publish([message(number) for number in range(100)])
            line.restore()
            await until(lambda: publisher.is_connected, what="it is connected")
            back = await publisher.publish([message(9)])
            assert publisher.returns == 1
            return stalled, back

    assert asyncio.run(publish()) == ([U] * 100, [C])
    assert vhost.depth("email.bulk") >= 1


def test_publishes_in_flight_when_the_connection_breaks_are_unknown_and_end_at_once(
    vhost: VirtualHost, line: Line, line_url: str
) -> None:
    async def publish() -> list[Verdict]:
        async with publishing(line_url) as publisher:
            line.stall()
            verdicts = asyncio.create_task(publisher.publish([message(number) for number in range(100)]))
            await asyncio.to_thread(line.reset_connections)
            return await verdicts

    assert asyncio.run(publish()) == [U] * 100


def test_it_waits_for_a_broker_that_comes_late(vhost: VirtualHost, line: Line, line_url: str) -> None:
    line.cut()

    async def publish() -> list[Verdict]:
        publisher = Publisher(line_url, name="test", topology=TOPOLOGY)
        connecting = asyncio.create_task(publisher.connect())
        early = await publisher.publish([message()])
        await asyncio.to_thread(line.restore)
        await connecting
        late = await publisher.publish([message()])
        await publisher.close()
        return early + late

    assert asyncio.run(publish()) == [U, C]


def test_a_broker_that_goes_away_while_the_topology_is_declared_is_waited_for(
    vhost: VirtualHost, line: Line, line_url: str
) -> None:
    """The connection breaks ever later: in the handshake, at the first declarations, at the last ones."""
    line.break_connections(first=400, more=700)

    async def publish() -> list[Verdict]:
        async with asyncio.timeout(120), publishing(line_url) as publisher:
            return await publisher.publish([message()])

    assert asyncio.run(publish()) == [C]


def test_a_broker_that_comes_back_empty_gets_the_topology_again(vhost: VirtualHost) -> None:
    management, user = vhost.server.management, vhost.server.user
    put_again = partial(put_postroom, management, vhost=vhost.name, user=user)

    async def publish() -> None:
        async with publishing(vhost.url) as publisher:
            assert await publisher.publish([message()]) == [C]
            await asyncio.to_thread(management.delete_vhost, vhost.name)
            await until(lambda: not publisher.is_connected, what="the connection is closed")
            await asyncio.to_thread(put_again)
            loop = asyncio.get_running_loop()

            def all_are_confirmed() -> bool:
                """As the relay does: again and again, until each has its queue back."""
                messages = [message(lane=lane) for lane in names.LANES]
                publishing_again = asyncio.run_coroutine_threadsafe(publisher.publish(messages), loop)
                return publishing_again.result(30) == [C] * 4

            await until(all_are_confirmed, what="every lane takes messages again")

    asyncio.run(publish())
    assert {queue.name for queue in TOPOLOGY.queues} <= vhost.queues().keys()
