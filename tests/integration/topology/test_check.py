import asyncio
from collections.abc import Awaitable, Callable

import aio_pika
from aio_pika.abc import AbstractChannel

from tests.harness.broker import VirtualHost
from tests.integration.topology.conftest import declare_on, unbind
from topology.check import Difference, DifferenceKind, Report, check
from topology.definition import postroom_topology, with_tenants
from topology.management import Listing, read_listing


def report_on(vhost: VirtualHost, *, with_listing: bool = True) -> Report:
    async def connect_and_check(listing: Listing | None) -> Report:
        async with await aio_pika.connect(vhost.url) as connection:
            return await check(connection, postroom_topology(), listing=listing)

    server = vhost.server
    return asyncio.run(
        connect_and_check(
            read_listing(server.management.url, vhost=vhost.name, user=server.user, password=server.password)
            if with_listing
            else None
        )
    )


def change(vhost: VirtualHost, do: Callable[[AbstractChannel], Awaitable[object]]) -> None:
    async def connect_and_change() -> None:
        async with await aio_pika.connect(vhost.url) as connection, connection.channel() as channel:
            await do(channel)

    asyncio.run(connect_and_change())


def test_what_was_declared_is_the_same(declared: VirtualHost) -> None:
    assert report_on(declared) == Report(differences=(), notes=())


def test_on_an_empty_vhost_everything_is_missing_and_checking_creates_nothing(vhost: VirtualHost) -> None:
    topology = postroom_topology()
    for _ in range(2):
        differences = report_on(vhost).differences
        assert {difference.kind for difference in differences} == {DifferenceKind.MISSING}
        assert len(differences) == sum(map(len, (topology.exchanges, topology.queues, topology.bindings)))


def test_another_argument_is_reported(declared: VirtualHost) -> None:
    async def make_it_a_plain_queue(channel: AbstractChannel) -> None:
        await channel.queue_delete("delay.1m")
        queue = await channel.declare_queue("delay.1m", durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind("delay.1m", "")

    change(declared, make_it_a_plain_queue)
    [difference] = report_on(declared).differences
    assert (difference.kind, difference.entity) == (DifferenceKind.DIFFERENT, "queue delay.1m")
    assert difference.detail.startswith("x-")


def test_another_exchange_type_is_reported(declared: VirtualHost) -> None:
    async def make_it_a_fanout(channel: AbstractChannel) -> None:
        await channel.exchange_delete("email.events")
        await channel.declare_exchange("email.events", "fanout", durable=True)

    change(declared, make_it_a_fanout)
    assert report_on(declared).differences == (
        Difference(
            kind=DifferenceKind.DIFFERENT,
            entity="exchange email.events",
            detail="type: received 'topic' but current is 'fanout'",
        ),
    )


def test_a_lost_binding_is_reported(declared: VirtualHost) -> None:
    unbind(declared, queue="email.ingest", exchange="email.ingest", routing_key="bulk.#")
    assert report_on(declared).differences == (
        Difference(kind=DifferenceKind.MISSING, entity="binding email.ingest -> email.ingest by 'bulk.#'"),
    )


def test_a_tenants_queue_is_ours_and_is_compared(declared: VirtualHost) -> None:
    declare_on(declared, with_tenants(postroom_topology(), keys=["bulk.acme"]))
    assert report_on(declared) == Report(differences=(), notes=())
    unbind(declared, queue="email.bulk.acme", exchange="email.due", routing_key="bulk.acme")
    [difference] = report_on(declared).differences
    assert difference.entity == "binding email.due -> email.bulk.acme by 'bulk.acme'"


def test_what_looks_like_ours_and_is_not_is_a_note_and_what_does_not_is_nothing(
    declared: VirtualHost,
) -> None:
    async def add_more(channel: AbstractChannel) -> None:
        await channel.declare_exchange("delay.10m", "fanout", durable=True)
        await channel.declare_queue("delay.10m", durable=True)
        for others in ("reply.shop.1", "emails", "somebody-elses"):
            await channel.declare_queue(others, durable=True)
        queue = await channel.get_queue("email.bulk", ensure=False)
        await queue.bind("email", "everything")

    change(declared, add_more)
    report = report_on(declared)
    assert report.differences == ()
    step = "(a step of another schedule; delete it when empty)"
    assert report.notes == (
        f"exchange delay.10m: not of this topology {step}",
        f"queue delay.10m: not of this topology {step}; messages in it: 0",
        "binding email -> email.bulk by 'everything': not of this topology",
    )


def test_without_a_listing_the_report_says_what_was_not_compared(declared: VirtualHost) -> None:
    assert report_on(declared, with_listing=False) == Report(
        differences=(), notes=("bindings and leftovers: not compared",)
    )
