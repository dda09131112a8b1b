"""What the broker lets a service do. Every refusal comes from a real broker, not from our own expressions."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelPreconditionFailed, PublishError
from aiormq.exceptions import ChannelAccessRefused

from stack.management import Management
from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.broker import VirtualHost
from tests.integration.topology.waiting import take
from topology.permissions import Permissions, service_permissions


@pytest.fixture
def service(declared: VirtualHost) -> Iterator[AmqpClient]:
    with closing(AmqpClient(declared.service_url)) as client:
        yield client


def test_a_service_publishes_to_email_ingest(declared: VirtualHost, service: AmqpClient) -> None:
    service.publish("email.ingest", "bulk.shop", [Outgoing(body=b"from us", user_id=declared.service)])
    message = take(declared.amqp, "email.ingest")
    assert (message.body, message.user_id) == (b"from us", declared.service)


@pytest.mark.parametrize(
    ("exchange", "routing_key"),
    [
        ("email", "critical"),
        ("", "email.critical"),
        ("", "email.ingest"),
        ("delay.1s", "critical"),
        ("unrouted", ""),
        ("email.events", "bank.bulk.delivered"),
        ("amq.topic", "x"),
    ],
)
def test_a_service_publishes_nowhere_else(service: AmqpClient, exchange: str, routing_key: str) -> None:
    with pytest.raises(ChannelAccessRefused):
        service.publish(exchange, routing_key, [Outgoing(body=b"smuggled")])


def test_a_service_can_not_publish_as_somebody_else(service: AmqpClient) -> None:
    with pytest.raises(ChannelPreconditionFailed, match="user_id"):
        service.publish("email.ingest", "bulk.bank", [Outgoing(body=b"forged", user_id="bank")])


@pytest.mark.parametrize(
    "queue", ["email.ingest", "email.critical", "email.dead", "unrouted", "reply.bank.1"]
)
def test_a_service_reads_no_queue_but_its_own(declared: VirtualHost, service: AmqpClient, queue: str) -> None:
    if queue.startswith("reply."):
        asyncio.run(on_channel(declared.url, lambda channel: channel.declare_queue(queue, durable=True)))
    with pytest.raises(ChannelAccessRefused):
        service.take(queue)


@pytest.mark.parametrize("exchange", ["", "email"])
def test_a_service_reaches_no_lane_through_the_dead_letters_of_its_own_queue(
    declared: VirtualHost, exchange: str
) -> None:
    async def declare_with_dead_letters(channel: AbstractChannel) -> AbstractQueue:
        return await channel.declare_queue(
            f"reply.{declared.service}.1",
            durable=True,
            arguments={"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": "email.critical"},
        )

    with pytest.raises(ChannelAccessRefused):
        asyncio.run(on_channel(declared.service_url, declare_with_dead_letters))


@pytest.mark.parametrize("exchange", ["email.events", "email.ingest", "email"])
def test_a_service_can_not_listen_in(declared: VirtualHost, service: AmqpClient, exchange: str) -> None:
    queue = f"reply.{declared.service}.1"
    service.declare_queue(queue)
    with pytest.raises(ChannelAccessRefused):
        service.bind(queue, exchange, "#")


def test_a_service_awaits_replies_in_a_queue_of_its_own(declared: VirtualHost, service: AmqpClient) -> None:
    queue = f"reply.{declared.service}.1"
    service.declare_queue(queue)
    declared.amqp.publish("", queue, [Outgoing(body=b"accepted")])
    assert take(service, queue).body == b"accepted"


def test_direct_reply_to_needs_no_permission_but_to_publish(declared: VirtualHost) -> None:
    """And a reply to it must not be mandatory: the broker would deliver it and return it as well."""
    write_only = Permissions(configure="^$", write=service_permissions("x").write, read="^$")
    declared.server.management.put_permissions(declared.name, declared.service, write_only)
    assert asyncio.run(ask_and_answer(declared)) == b"accepted"


def test_an_operator_neither_publishes_nor_deletes(declared: VirtualHost, operator: Management) -> None:
    user = operator.request("GET", "whoami")["name"]
    declared.server.management.put_user(user, "known", tags=["management", "policymaker"])
    url = declared.server.url(declared.name, user=user, password="known")
    with closing(AmqpClient(url)) as client, pytest.raises(ChannelAccessRefused):
        client.publish("email", "critical", [Outgoing(body=b"by hand")])
    with pytest.raises(ChannelAccessRefused):
        asyncio.run(on_channel(url, lambda channel: channel.queue_delete("email.dead")))


def test_an_operator_purges(declared: VirtualHost, operator: Management) -> None:
    declared.amqp.publish("email", "dead", [Outgoing(body=b"given up")])
    operator.request("DELETE", "queues", declared.name, "email.dead", "contents")
    assert declared.depth("email.dead") == 0


async def on_channel(url: str, do: Callable[[AbstractChannel], Awaitable[object]]) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await do(channel)


async def ask_and_answer(vhost: VirtualHost) -> bytes:
    async with (
        await aio_pika.connect(vhost.service_url) as theirs,
        await aio_pika.connect(vhost.url) as ours,
        theirs.channel() as asking,
        ours.channel(on_return_raises=True) as answering,
    ):
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def keep(message: AbstractIncomingMessage) -> None:
            answer.set_result(message.body)

        replies = await asking.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await replies.consume(keep, no_ack=True)
        public = await asking.get_exchange("email.ingest", ensure=False)
        await public.publish(aio_pika.Message(b"{}", reply_to=replies.name), "bulk.shop", timeout=10)
        request = await (await answering.get_queue("email.ingest", ensure=False)).get(no_ack=True)
        assert request is not None
        assert request.reply_to is not None
        reply = aio_pika.Message(b"accepted")
        with pytest.raises(PublishError, match="NO_ROUTE"):
            await answering.default_exchange.publish(reply, request.reply_to, mandatory=True, timeout=10)
        return await asyncio.wait_for(answer, 10)
