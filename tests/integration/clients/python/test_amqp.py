"""The Python client's AmqpSender against a real broker, with nobody behind it, or somebody of the test's."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from postroom_client import Denied, NoReply, NotTaken, PlainEmail, PostroomError, Unconfirmed, Unroutable
from postroom_client.amqp import AmqpSender

from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.line import Line
from tests.integration.topology.conftest import declare_on
from topology.definition import postroom_topology

EMAIL = PlainEmail(sender="shop@example.com", recipient="ann@example.com", message="Hello")

T = TypeVar("T")
Reply = Callable[[AbstractIncomingMessage], dict[str, str]]


@pytest.fixture
def declared(vhost: VirtualHost) -> VirtualHost:
    declare_on(vhost, postroom_topology(delay_steps=["1s"]))
    return vhost


@asynccontextmanager
async def answering(vhost: VirtualHost, reply: Reply, *, batch: int = 1) -> AsyncIterator[None]:
    """Replies to what comes to email.ingest, so many at a time, the last one first."""
    async with await aio_pika.connect(vhost.url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("email.ingest", ensure=False)
        waiting: list[AbstractIncomingMessage] = []

        async def answer(message: AbstractIncomingMessage) -> None:
            waiting.append(message)
            if len(waiting) == batch:
                taken = waiting[::-1]
                waiting.clear()
                for each in taken:
                    await channel.default_exchange.publish(
                        aio_pika.Message(
                            json.dumps(reply(each)).encode(), correlation_id=each.correlation_id
                        ),
                        str(each.reply_to),
                        mandatory=False,
                    )
                    await each.ack()

        await queue.consume(answer)
        yield


def accepted(message: AbstractIncomingMessage) -> dict[str, str]:
    return {"status": "accepted", "request_id": f"id of {message.message_id}"}


def with_sender(
    url: str,
    use: Callable[[AmqpSender], Awaitable[T]],
    *,
    confirm_within: float = 10.0,
    reply_within: float = 30.0,
) -> T:
    async def run() -> T:
        async with AmqpSender(
            url, service="shop", confirm_within=confirm_within, reply_within=reply_within
        ) as sender:
            return await use(sender)

    return asyncio.run(run())


async def fails(sending: Awaitable[str]) -> PostroomError:
    with pytest.raises(PostroomError) as raised:
        await sending
    return raised.value


def test_an_email_is_published_as_postroom_wants_it(declared: VirtualHost) -> None:
    seen: list[AbstractIncomingMessage] = []

    def look(message: AbstractIncomingMessage) -> dict[str, str]:
        seen.append(message)
        return accepted(message)

    async def send(sender: AmqpSender) -> str:
        async with answering(declared, look):
            return await sender.send(EMAIL, message_id="order-1", lane="bulk", idempotency_key="key-1")

    assert with_sender(declared.service_url, send) == "id of order-1"
    (message,) = seen
    assert (message.message_id, message.user_id) == ("order-1", declared.service)
    assert (message.routing_key, message.delivery_mode) == ("bulk.shop", 2)
    assert message.headers == {"idempotency-key": "key-1"}
    assert message.body == EMAIL.as_bytes()


def test_many_at_once_each_get_their_own_reply(declared: VirtualHost) -> None:
    async def send(sender: AmqpSender) -> list[str]:
        async with answering(declared, accepted, batch=50):
            return await asyncio.gather(
                *(sender.send(EMAIL, message_id=str(number)) for number in range(200))
            )

    assert with_sender(declared.service_url, send) == [f"id of {number}" for number in range(200)]


def test_two_at_once_with_one_message_id_go_one_after_the_other(declared: VirtualHost) -> None:
    async def send(sender: AmqpSender) -> list[str]:
        async with answering(declared, accepted):
            return await asyncio.gather(*(sender.send(EMAIL, message_id="one") for _ in range(5)))

    assert with_sender(declared.service_url, send) == ["id of one"] * 5


def test_what_postroom_denies_is_raised_with_its_reason(declared: VirtualHost) -> None:
    async def send(sender: AmqpSender) -> PostroomError:
        async with answering(declared, lambda _: {"status": "denied", "reason": "missing sender field"}):
            return await fails(sender.send(EMAIL, message_id="order-1"))

    error = with_sender(declared.service_url, send)
    assert isinstance(error, Denied)
    assert (error.reason, error.message_id) == ("missing sender field", "order-1")


def test_a_message_that_nobody_reads_is_with_the_broker(declared: VirtualHost) -> None:
    error = with_sender(declared.service_url, lambda sender: fails(sender.send(EMAIL)), reply_within=0.2)
    assert isinstance(error, NoReply)
    kept = declared.amqp.take("email.ingest")
    assert kept is not None
    assert kept.message_id == error.message_id


def test_a_broker_without_postroom_is_told(vhost: VirtualHost) -> None:
    async def send_twice(sender: AmqpSender) -> list[PostroomError]:
        return [await fails(sender.send(EMAIL)) for _ in range(2)]

    errors = with_sender(vhost.service_url, send_twice)
    assert [type(error) for error in errors] == [Unroutable, Unroutable]


def test_a_message_that_no_queue_takes_is_returned(vhost: VirtualHost) -> None:
    exchange = {"type": "topic", "durable": True}
    vhost.server.management.request("PUT", "exchanges", vhost.name, "email.ingest", json=exchange)
    error = with_sender(vhost.service_url, lambda sender: fails(sender.send(EMAIL)))
    assert isinstance(error, Unroutable)


def test_a_queue_that_is_full_takes_nothing(vhost: VirtualHost) -> None:
    management = vhost.server.management
    topic = {"type": "topic", "durable": True}
    management.request("PUT", "exchanges", vhost.name, "email.ingest", json=topic)
    full = {"durable": True, "arguments": {"x-max-length": 0, "x-overflow": "reject-publish"}}
    management.request("PUT", "queues", vhost.name, "full", json=full)
    binding = {"routing_key": "#"}
    management.request("POST", "bindings", vhost.name, "e", "email.ingest", "q", "full", json=binding)
    error = with_sender(vhost.service_url, lambda sender: fails(sender.send(EMAIL)))
    assert type(error) is NotTaken


def test_a_user_that_may_not_publish_there_is_told(declared: VirtualHost) -> None:
    nothing = {"configure": "^$", "write": "^$", "read": "^$"}
    management = declared.server.management
    management.request("PUT", "permissions", declared.name, declared.service, json=nothing)
    error = with_sender(declared.service_url, lambda sender: fails(sender.send(EMAIL)))
    assert isinstance(error, NotTaken)


def test_a_broker_that_is_not_there_takes_nothing(
    declared: VirtualHost, line_to: Callable[[int], Line]
) -> None:
    line = line_to(declared.server.port)
    line.cut()
    error = with_sender(line.over(declared.service_url), lambda sender: fails(sender.send(EMAIL)))
    assert isinstance(error, NotTaken)


def test_a_wrong_password_is_told(declared: VirtualHost) -> None:
    url = declared.server.url(declared.name, user=declared.service, password="wrong")
    error = with_sender(url, lambda sender: fails(sender.send(EMAIL)))
    assert isinstance(error, NotTaken)


def test_a_stalled_line_leaves_nobody_waiting_and_the_next_send_goes_through(
    declared: VirtualHost, line_to: Callable[[int], Line]
) -> None:
    line = line_to(declared.server.port)

    async def send(sender: AmqpSender) -> tuple[PostroomError, str]:
        async with answering(declared, accepted):
            await sender.send(EMAIL, message_id="before")
            line.stall()
            unknown = await fails(sender.send(EMAIL, message_id="meanwhile"))
            line.restore()
            return unknown, await sender.send(EMAIL, message_id="meanwhile")

    unknown, email_id = with_sender(line.over(declared.service_url), send, confirm_within=2.0)
    assert isinstance(unknown, Unconfirmed)
    assert (unknown.message_id, email_id) == ("meanwhile", "id of meanwhile")


def test_a_lost_connection_ends_the_wait_for_a_reply(
    declared: VirtualHost, line_to: Callable[[int], Line]
) -> None:
    line = line_to(declared.server.port)

    async def send(sender: AmqpSender) -> tuple[PostroomError, str]:
        sending = asyncio.create_task(fails(sender.send(EMAIL, message_id="order-1")))
        await asyncio.to_thread(
            wait_until,
            lambda: declared.depth("email.ingest") == 1,
            within=30,
            what="the broker has it",
        )
        line.reset_connections()
        lost = await sending
        async with answering(declared, accepted):
            return lost, await sender.send(EMAIL, message_id="order-1")

    lost, email_id = with_sender(line.over(declared.service_url), send, reply_within=300)
    assert type(lost) is Unconfirmed
    assert email_id == "id of order-1"


@pytest.mark.parametrize(
    ("url", "service", "what"),
    [
        ("amqp://127.0.0.1/", "shop", "user"),
        ("amqp://shop:secret@127.0.0.1/", "shop.orders", "service"),
        ("amqp://shop:secret@127.0.0.1/", "", "service"),
    ],
)
def test_a_sender_that_postroom_would_take_nothing_of_is_not_made(url: str, service: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        AmqpSender(url, service=service)


def test_what_the_broker_could_not_carry_is_refused_and_spoils_nothing(declared: VirtualHost) -> None:
    huge = replace(EMAIL, message="x" * 13 * 1024 * 1024)

    async def send(sender: AmqpSender) -> str:
        with pytest.raises(ValueError, match="lane"):
            await sender.send(EMAIL, lane="urgent")
        for message_id in ("", "x" * 256):
            with pytest.raises(ValueError, match="message_id"):
                await sender.send(EMAIL, message_id=message_id)
        with pytest.raises(ValueError, match="larger than"):
            await sender.send(huge)
        async with answering(declared, accepted):
            return await sender.send(EMAIL, message_id="order-1")

    assert with_sender(declared.service_url, send) == "id of order-1"
