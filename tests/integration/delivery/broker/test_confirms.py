"""Batches on a channel with confirms, against a real broker: each message's verdict is its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import aio_pika
import pytest
from aiormq import Channel
from pamqp.common import FieldTable

from delivery.broker.confirms import ConfirmingChannel
from delivery.broker.connection import connect
from delivery.use_cases.messages import Outgoing, Verdict
from tests.harness.broker import VirtualHost
from tests.harness.logged import logged_here
from tests.integration.topology.conftest import declare_on
from topology import names
from topology.definition import postroom_topology

C, R, U = Verdict.CONFIRMED, Verdict.REFUSED, Verdict.UNKNOWN
RETURNED = Verdict.RETURNED

DEAD = Outgoing(exchange=names.EMAIL_EXCHANGE, routing_key=names.DEAD_KEY, body=b"{}")
NOWHERE = Outgoing(exchange=names.EMAIL_EXCHANGE, routing_key="nowhere", body=b"{}")
TOO_LONG = Outgoing(exchange=names.EMAIL_EXCHANGE, routing_key="x" * 256, body=b"{}")


@asynccontextmanager
async def confirming(url: str) -> AsyncIterator[ConfirmingChannel]:
    async with await connect(url, name="test") as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        assert isinstance(channel, Channel)
        assert connection.routes.sieve is not None
        yield ConfirmingChannel(
            channel.number, max_body=channel.max_content_size, sieve=connection.routes.sieve
        )


async def published(confirming: ConfirmingChannel, messages: Sequence[Outgoing]) -> list[Verdict]:
    verdicts = [U] * len(messages)
    assert await confirming.publish(messages, verdicts)
    return verdicts


@pytest.fixture
def declared(vhost: VirtualHost) -> VirtualHost:
    declare_on(vhost, postroom_topology())
    return vhost


def test_verdicts_are_each_messages_own_and_none_reaches_aiormq(
    declared: VirtualHost, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [DEAD, NOWHERE, TOO_LONG, DEAD, NOWHERE] * 100

    async def publish() -> list[list[Verdict]]:
        async with confirming(declared.url) as confirms:
            return await asyncio.gather(
                published(confirms, messages),
                published(confirms, messages[::-1]),
                *(published(confirms, [DEAD]) for _ in range(10)),
            )

    verdicts = [C, RETURNED, R, C, RETURNED] * 100
    assert asyncio.run(publish()) == [verdicts, verdicts[::-1], *[[C]] * 10]
    assert not [record for record in logged_here(caplog) if record.name.startswith("aiormq")]


def test_what_can_all_not_be_encoded_is_not_published(declared: VirtualHost) -> None:
    async def publish() -> list[Verdict]:
        async with confirming(declared.url) as confirms:
            verdicts = [U, U]
            assert not await confirms.publish([TOO_LONG] * 2, verdicts)
            return verdicts + await published(confirms, [DEAD])

    assert asyncio.run(publish()) == [R, R, C]


def test_what_a_full_queue_nacks_is_refused(vhost: VirtualHost) -> None:
    async def publish() -> list[Verdict]:
        async with await aio_pika.connect(vhost.url) as connection:
            channel = await connection.channel()
            limits: FieldTable = {
                "x-queue-type": "classic",
                "x-max-length": 3,
                "x-overflow": "reject-publish",
            }
            await channel.declare_queue("full", durable=True, arguments=limits)
        async with confirming(vhost.url) as confirms:
            return await published(confirms, [Outgoing(exchange="", routing_key="full", body=b"{}")] * 5)

    assert asyncio.run(publish()) == [C, C, C, R, R]


def test_a_body_of_many_frames_arrives_whole(declared: VirtualHost) -> None:
    large = Outgoing(
        exchange=names.EMAIL_EXCHANGE, routing_key=names.REJECTED_KEY, body=b"0123456789" * 50_000
    )

    async def publish() -> list[Verdict]:
        async with confirming(declared.url) as confirms:
            return await published(confirms, [large])

    assert asyncio.run(publish()) == [C]
    taken = declared.amqp.take(names.REJECTED_QUEUE)
    assert taken is not None
    assert taken.body == large.body


def test_a_batch_that_nobody_awaits_any_more_spoils_no_later_one(
    declared: VirtualHost, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def publish() -> tuple[list[Verdict], ...]:
        async with confirming(declared.url) as confirms:
            given_up = [U] * 50
            publishing = asyncio.create_task(confirms.publish([DEAD] * 50, given_up))
            await asyncio.sleep(0)  # its first turn: they are written
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            return given_up, await published(confirms, [DEAD, NOWHERE])

    assert asyncio.run(publish()) == ([U] * 50, [C, RETURNED])
    assert not [record for record in logged_here(caplog) if record.name.startswith("aiormq")]


def test_a_channel_that_the_broker_closes_ends_its_batches_and_takes_no_more(declared: VirtualHost) -> None:
    async def publish() -> list[Verdict]:
        async with confirming(declared.url) as confirms:
            verdicts = [U] * 3
            with pytest.raises(ConnectionError):
                await confirms.publish([replace(DEAD, exchange="no.such.exchange")] * 3, verdicts)
            with pytest.raises(ConnectionError):
                await confirms.publish([DEAD], [U])
            return verdicts

    assert asyncio.run(publish()) == [U] * 3
