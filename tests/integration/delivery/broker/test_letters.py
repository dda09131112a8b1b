"""Passes over a real quorum queue: what is removed, what stays, and what others see."""

import asyncio
import json
from collections.abc import Callable, Sequence

import aio_pika
import pytest

from delivery.broker.letters import Pass, depth, remove
from delivery.domain.errors import BrokerUnavailable
from tests.harness.amqp import Outgoing
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value, wait_until
from topology.declare import declare
from topology.definition import postroom_topology

QUEUE = "email.dead"


@pytest.fixture(autouse=True)
def topology(vhost: VirtualHost) -> None:
    async def declared() -> None:
        async with await aio_pika.connect(vhost.url) as connection:
            await declare(connection, postroom_topology(delay_steps=["1s"]))

    asyncio.run(declared())


def fill(vhost: VirtualHost, count: int) -> None:
    vhost.amqp.publish("email", "dead", [Outgoing(body={"id": str(number)}) for number in range(count)])


def numbers(vhost: VirtualHost) -> list[int]:
    return [int(json.loads(letter["payload"])["id"]) for letter in vhost.peek(QUEUE)]


def number(body: bytes) -> int:
    return int(json.loads(body)["id"])


def those(is_to_go: Callable[[int], bool]) -> Callable[[Sequence[bytes]], "asyncio.Future[list[bool]]"]:
    async def judge(bodies: Sequence[bytes]) -> list[bool]:
        return [is_to_go(number(body)) for body in bodies]

    return lambda bodies: asyncio.ensure_future(judge(bodies))


def test_a_pass_removes_what_it_is_told_to_and_leaves_the_rest_in_order(vhost: VirtualHost) -> None:
    fill(vhost, 1500)
    told: list[Pass] = []
    done = asyncio.run(remove(vhost.url, QUEUE, those(lambda n: n % 3 == 0), tell=told.append))
    assert done == Pass(seen=1500, removed=500) == told[-1]
    wait_for_value(lambda: vhost.depth(QUEUE), 1000, within=30, what="the rest is back")
    assert numbers(vhost) == [n for n in range(1500) if n % 3]
    assert asyncio.run(remove(vhost.url, QUEUE, those(lambda _: False))) == Pass(seen=1000, removed=0)


def test_a_queue_longer_than_a_channel_may_hold_is_seen_whole(vhost: VirtualHost) -> None:
    fill(vhost, 500)
    done = asyncio.run(remove(vhost.url, QUEUE, those(lambda n: n % 2 == 0), most_held=60))
    assert done == Pass(seen=500, removed=250)
    wait_for_value(lambda: vhost.depth(QUEUE), 250, within=30, what="the rest is back")
    assert set(numbers(vhost)) == {n for n in range(500) if n % 2}


def test_a_pass_that_fails_half_way_has_lost_nothing(vhost: VirtualHost) -> None:
    fill(vhost, 1200)

    async def judge(bodies: Sequence[bytes]) -> list[bool]:
        if any(number(body) == 1000 for body in bodies):
            raise LookupError("the store is away")
        return [number(body) % 2 == 0 for body in bodies]

    with pytest.raises(LookupError):
        asyncio.run(remove(vhost.url, QUEUE, judge))
    left = 1200 - 500

    def is_back() -> bool:
        assert vhost.depth(QUEUE) >= left
        return {n for n in range(1200) if n % 2} <= set(numbers(vhost))

    wait_until(is_back, within=30, what="whatever was not removed is back")


def test_people_who_look_at_the_letters_meanwhile_harm_nothing(vhost: VirtualHost) -> None:
    fill(vhost, 800)

    async def judge(bodies: Sequence[bytes]) -> list[bool]:
        await asyncio.to_thread(vhost.peek, QUEUE, 50)
        return [number(body) % 2 == 0 for body in bodies]

    asyncio.run(remove(vhost.url, QUEUE, judge))
    wait_until(lambda: vhost.depth(QUEUE) >= 400, within=30, what="the rest is back")
    asyncio.run(remove(vhost.url, QUEUE, judge))  # what was out of sight
    wait_for_value(lambda: vhost.depth(QUEUE), 400, within=30, what="the rest is back")
    assert set(numbers(vhost)) == {n for n in range(800) if n % 2}


def test_letters_are_counted(vhost: VirtualHost) -> None:
    fill(vhost, 3)
    assert asyncio.run(depth(vhost.url, QUEUE)) == 3


def test_a_broker_that_is_away_is_told(vhost: VirtualHost) -> None:
    for url in ("amqp://nobody:wrong@127.0.0.1:1/", vhost.url.replace(vhost.name, "nothing")):
        with pytest.raises(BrokerUnavailable):
            asyncio.run(depth(url, QUEUE))
