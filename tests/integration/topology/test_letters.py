import asyncio

import aio_pika
import pytest

from stack.management import Management
from tests.harness.amqp import Outgoing
from tests.harness.broker import VirtualHost
from tests.integration.topology.conftest import unbind
from tests.integration.topology.waiting import WITHIN, held_back, take


@pytest.mark.parametrize(
    "queue", ["email.dead", "email.held", "email.rejected", "email.requeue", "unrouted", "provider_event"]
)
def test_a_letter_survives_being_looked_at_30_times(
    declared: VirtualHost, operator: Management, queue: str
) -> None:
    """As an operator does it: "Get messages" in the management UI, which puts the message back."""
    look = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    declared.amqp.publish("", queue, [Outgoing(body=b"a letter")])
    for _ in range(30):
        [seen] = operator.request("POST", "queues", declared.name, queue, "get", json=look)
        assert seen["payload"] == "a letter"
    assert take(declared.amqp, queue).body == b"a letter"


@pytest.mark.parametrize(
    ("routing_key", "queue"), [("bulk.shop", "email.ingest"), ("critical.shop", "email.ingest.critical")]
)
def test_a_message_that_breaks_its_consumer_21_times_is_set_aside(
    declared: VirtualHost, routing_key: str, queue: str
) -> None:
    declared.amqp.publish("email.ingest", routing_key, [Outgoing(body=b"poison")])
    asyncio.run(reject_as_often_as_it_comes(declared.url, queue, at_most=21))
    message = take(declared.amqp, "email.rejected")
    assert message.body == b"poison"
    assert message.headers["x-first-death-queue"] == queue
    assert message.headers["x-first-death-reason"] == "delivery_limit"


def test_what_a_service_lets_expire_is_set_aside_and_says_so(declared: VirtualHost) -> None:
    body = {
        "routing_key": "bulk.shop",
        "payload": "too late",
        "payload_encoding": "string",
        "properties": {"expiration": "1"},
    }
    management = declared.server.management
    management.request("POST", "exchanges", declared.name, "email.ingest", "publish", json=body)
    message = take(declared.amqp, "email.rejected")
    assert message.body == b"too late"
    assert message.headers["x-first-death-reason"] == "expired"
    assert "reason" not in message.headers


def test_a_message_that_can_not_be_set_aside_waits_instead_of_vanishing(declared: VirtualHost) -> None:
    unbind(declared, queue="email.rejected", exchange="email", routing_key="rejected")
    declared.amqp.publish("email.ingest", "bulk.shop", [Outgoing(body=b"poison")])
    asyncio.run(reject_as_often_as_it_comes(declared.url, "email.ingest", at_most=21))
    held_back(declared, "email.ingest")


async def reject_as_often_as_it_comes(url: str, queue: str, *, at_most: int) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        source = await channel.get_queue(queue, ensure=False)
        rejections = 0
        async with asyncio.timeout(WITHIN), source.iterator() as messages:
            async for message in messages:
                await message.reject(requeue=True)
                rejections += 1
                if rejections == at_most:
                    break
