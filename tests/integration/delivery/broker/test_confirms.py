"""A batch on a channel with confirms, against a real broker: what aiormq's channel is relied on for."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika.exceptions import ChannelInvalidStateError, ChannelNotFoundEntity
from aiormq import Channel
from pamqp.common import FieldTable

from delivery.broker.confirms import ConfirmingChannel
from delivery.use_cases.messages import Outgoing, Verdict
from tests.harness.broker import VirtualHost
from tests.integration.topology.conftest import declare_on
from topology import names
from topology.definition import postroom_topology

C, R, U = Verdict.CONFIRMED, Verdict.REFUSED, Verdict.UNKNOWN

DEAD = Outgoing(exchange=names.EMAIL_EXCHANGE, routing_key=names.DEAD_KEY, body=b"{}")
NOWHERE = Outgoing(exchange=names.EMAIL_EXCHANGE, routing_key="nowhere", body=b"{}")
TOO_LONG = Outgoing(exchange=names.EMAIL_EXCHANGE, routing_key="x" * 256, body=b"{}")


@asynccontextmanager
async def confirming(url: str) -> AsyncIterator[ConfirmingChannel]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        below = await channel.get_underlay_channel()
        assert isinstance(below, Channel)
        yield ConfirmingChannel(below)


@pytest.fixture
def declared(vhost: VirtualHost) -> VirtualHost:
    declare_on(vhost, postroom_topology())
    return vhost


def test_verdicts_are_each_messages_own_and_leave_nothing_behind(
    declared: VirtualHost, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [DEAD, NOWHERE, TOO_LONG, DEAD, NOWHERE] * 100

    async def publish() -> tuple[list[Verdict], ...]:
        async with confirming(declared.url) as confirms:
            first, second = confirms.batch(messages), confirms.batch(messages[::-1])
            await asyncio.gather(first.publish(), second.publish())
            assert not confirms.channel.confirmations
            assert not confirms.channel.message_id_delivery_tag
            return first.verdicts, second.verdicts

    verdicts = [C, R, R, C, R] * 100
    assert asyncio.run(publish()) == (verdicts, verdicts[::-1])
    assert not [record for record in caplog.records if record.name.startswith("aiormq")]


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
            batch = confirms.batch([Outgoing(exchange="", routing_key="full", body=b"{}")] * 5)
            await batch.publish()
            return batch.verdicts

    assert asyncio.run(publish()) == [C, C, C, R, R]


def test_a_body_of_many_frames_arrives_whole(declared: VirtualHost) -> None:
    large = Outgoing(
        exchange=names.EMAIL_EXCHANGE, routing_key=names.REJECTED_KEY, body=b"0123456789" * 50_000
    )

    async def publish() -> list[Verdict]:
        async with confirming(declared.url) as confirms:
            batch = confirms.batch([large])
            await batch.publish()
            return batch.verdicts

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
            given_up, later = confirms.batch([DEAD] * 50), confirms.batch([DEAD, NOWHERE])
            publishing = asyncio.create_task(given_up.publish())
            await asyncio.sleep(0)  # its first turn
            assert len(confirms.channel.confirmations) == 50
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            at_the_time = list(given_up.verdicts)
            await later.publish()
            assert given_up.verdicts == at_the_time
            return at_the_time, later.verdicts

    given_up, later = asyncio.run(publish())
    assert given_up == [U] * 50
    assert later == [C, R]
    assert not [record for record in caplog.records if record.name.startswith("aiormq")]


def test_a_channel_that_the_broker_closes_ends_its_batches(declared: VirtualHost) -> None:
    async def publish() -> list[Verdict]:
        async with confirming(declared.url) as confirms:
            batch = confirms.batch([Outgoing(exchange="no.such.exchange", routing_key="k", body=b"{}")] * 3)
            with pytest.raises(ChannelNotFoundEntity):
                await batch.publish()
            with pytest.raises(ChannelInvalidStateError):
                await confirms.batch([DEAD]).publish()
            return batch.verdicts

    assert asyncio.run(publish()) == [U] * 3
