import asyncio
from collections.abc import Mapping
from dataclasses import replace

import aio_pika
import pytest

from tests.harness.broker import VirtualHost
from tests.integration.topology.conftest import declare_on
from topology.declare import TopologyMismatch, declare
from topology.definition import postroom_topology
from topology.model import Queue, Topology


def test_declaring_twice_changes_nothing_and_everything_is_there(vhost: VirtualHost) -> None:
    topology = postroom_topology()
    declare_on(vhost, topology)
    declare_on(vhost, topology)

    management = vhost.server.management
    assert {
        (exchange["name"], exchange["type"], exchange["durable"])
        for exchange in management.request("GET", "exchanges", vhost.name)
        if exchange["name"] and not exchange["name"].startswith("amq.")
    } == {(exchange.name, exchange.type, True) for exchange in topology.exchanges}
    assert {
        (queue["name"], queue["durable"], queue["exclusive"], queue["auto_delete"])
        for queue in management.request("GET", "queues", vhost.name)
    } == {(queue.name, True, False, False) for queue in topology.queues}
    assert {
        (binding["source"], binding["routing_key"], binding["destination"])
        for binding in management.request("GET", "bindings", vhost.name)
        if binding["source"]
    } == {(binding.exchange, binding.routing_key, binding.queue) for binding in topology.bindings}


def test_several_processes_may_declare_at_once(vhost: VirtualHost) -> None:
    async def one_process() -> None:
        async with await aio_pika.connect_robust(vhost.url) as connection:
            await declare(connection, postroom_topology())

    async def four_processes() -> None:
        await asyncio.gather(*(one_process() for _ in range(4)))

    asyncio.run(four_processes())


def test_a_queue_with_another_argument_is_named_with_what_differs(declared: VirtualHost) -> None:
    changed = with_arguments("email.bulk", {"x-queue-type": "classic", "x-max-priority": 9})
    with pytest.raises(TopologyMismatch) as mismatch:
        declare_on(declared, changed)
    assert mismatch.value.entity == "queue email.bulk"
    assert mismatch.value.difference == "x-max-priority: received '9' but current is '4'"


def test_a_queue_that_lacks_an_argument_is_named_with_what_differs(declared: VirtualHost) -> None:
    changed = with_arguments("email.dead", {"x-queue-type": "quorum"})
    with pytest.raises(TopologyMismatch, match=r"^queue email\.dead exists, but differs: x-delivery-limit: "):
        declare_on(declared, changed)


def test_an_exchange_with_another_argument_is_named_with_what_differs(declared: VirtualHost) -> None:
    topology = postroom_topology()
    without_alternate = tuple(replace(exchange, arguments={}) for exchange in topology.exchanges)
    with pytest.raises(
        TopologyMismatch, match=r"^exchange email\.due exists, but differs: alternate-exchange: "
    ):
        declare_on(declared, replace(topology, exchanges=without_alternate))


def test_after_a_mismatch_the_connection_is_still_of_use(declared: VirtualHost) -> None:
    async def mismatch_then_declare() -> None:
        async with await aio_pika.connect_robust(declared.url) as connection:
            with pytest.raises(TopologyMismatch):
                await declare(connection, with_arguments("email.dead", {"x-queue-type": "quorum"}))
            await declare(connection, postroom_topology())

    asyncio.run(mismatch_then_declare())


def with_arguments(name: str, arguments: Mapping[str, str | int]) -> Topology:
    """The topology with other arguments for one queue."""

    def change(queue: Queue) -> Queue:
        return replace(queue, arguments=arguments) if queue.name == name else queue

    topology = postroom_topology()
    return replace(topology, queues=tuple(change(queue) for queue in topology.queues))
