"""The queues of many tenants: taken up as tenants come, and held in hand only as far as is soon begun."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import pytest

from consumers.lane_buffers import LaneBuffers
from consumers.lane_subscriptions import LOOKS, LaneSubscriptions
from consumers.settlement import acknowledge, give_back
from delivery.broker.connection import Connection, connect
from delivery.broker.delivery import Message
from delivery.domain.lanes import Lane
from delivery.domain.slots import Slots
from delivery.domain.tenant_lanes import TenantLane
from tests.harness.amqp import Outgoing
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.integration.topology.conftest import declare_on
from topology.definition import postroom_topology, with_tenants

T = TypeVar("T")
SLOTS = 8
MANY = [f"tenant-{number}" for number in range(8)]
WAITING = 20


class Taking:
    """Subscriptions over one connection, with the buffers that they fill."""

    def __init__(self, connection: Connection) -> None:
        slots = Slots(total=SLOTS, reserved=0, weights=dict.fromkeys(Lane, 1))
        self.buffers = LaneBuffers(slots)
        self.arrived: Counter[str] = Counter()
        self.subscriptions = LaneSubscriptions(slots=slots, buffers=self.buffers, arrived=self._arrive)
        self.connection = connection

    def _arrive(self, place: TenantLane, message: Message) -> None:
        self.arrived[place.tenant_id] += 1
        self.buffers.add(place, message)

    async def work_off(self) -> None:
        """Take what there are slots for, and acknowledge it."""
        taken = self.buffers.take()
        await acknowledge(message for _, message in taken)
        for place, _ in taken:
            self.buffers.release(place)

    async def until_arrived(self, counts: dict[str, int]) -> None:
        def have_arrived() -> bool:
            assert dict(self.arrived) == counts, str(self.arrived)
            return True

        await asyncio.to_thread(wait_until, have_arrived, within=60, what="these have arrived")


@pytest.fixture
def declared(vhost: VirtualHost) -> VirtualHost:
    declare_on(vhost, with_tenants(postroom_topology(), keys=[f"bulk.{tenant_id}" for tenant_id in MANY]))
    return vhost


def publish(vhost: VirtualHost, tenant_ids: Iterable[str]) -> None:
    for tenant_id in tenant_ids:
        vhost.amqp.publish("email", TenantLane(Lane.BULK, tenant_id).key, [Outgoing(body=b"{}")] * WAITING)


def taking(vhost: VirtualHost, work: Callable[[Taking], Awaitable[T]]) -> T:
    async def run() -> T:
        async with asyncio.timeout(120), await connect(vhost.url, name="test") as connection:
            consumer = Taking(connection)
            result = await work(consumer)
            await consumer.subscriptions.stop()
            await give_back(consumer.buffers.clear())
            return result

    return asyncio.run(run())


def test_many_backlogs_are_held_in_small_parts_and_one_alone_in_a_large_one(declared: VirtualHost) -> None:
    publish(declared, MANY)

    async def work(consumer: Taking) -> None:
        shares = dict.fromkeys(MANY, 1)
        await consumer.subscriptions.follow(shares)
        await consumer.subscriptions.start(consumer.connection)
        await consumer.until_arrived(dict.fromkeys(MANY, 2))
        for tenant_id in MANY[1:]:
            declared.amqp.purge(f"email.bulk.{tenant_id}")
        for _ in range(2):  # slots for eight: all that has arrived, but for what follows for the first tenant
            await consumer.work_off()
        for _ in range(LOOKS + 1):
            await consumer.subscriptions.follow(shares)
        await consumer.until_arrived(dict.fromkeys(MANY, 2) | {MANY[0]: 2 + 2 + SLOTS})

    taking(declared, work)


def test_a_tenant_that_comes_later_is_taken_up_in_all_lanes(declared: VirtualHost) -> None:
    async def work(consumer: Taking) -> list[TenantLane]:
        await consumer.subscriptions.follow({"default": 1})
        await consumer.subscriptions.start(consumer.connection)
        await consumer.subscriptions.follow({"default": 1, "new": 1})
        await asyncio.to_thread(publish, declared, ["new"])
        await consumer.until_arrived({"new": SLOTS})
        return consumer.subscriptions.places

    places = taking(declared, work)
    assert places == [TenantLane(lane, tenant_id) for lane in Lane for tenant_id in ("default", "new")]


def test_what_is_stopped_takes_up_nobody(declared: VirtualHost) -> None:
    async def work(consumer: Taking) -> int:
        await consumer.subscriptions.follow({"default": 1})
        await consumer.subscriptions.start(consumer.connection)
        await consumer.subscriptions.stop()
        await consumer.subscriptions.follow({"default": 1, MANY[0]: 1})
        await asyncio.to_thread(publish, declared, [MANY[0], "default"])
        held = consumer.arrived.total()
        await consumer.subscriptions.start(consumer.connection)
        await consumer.until_arrived({"default": SLOTS, MANY[0]: SLOTS})
        return held

    assert taking(declared, work) == 0
