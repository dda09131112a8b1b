"""A virtual host with postroom's topology, and the logins that its tests need."""

import asyncio
import secrets
from collections.abc import Iterator

import aio_pika
import pytest

from stack.management import Management, put_operator
from tests.harness.broker import VirtualHost
from topology.declare import declare
from topology.definition import postroom_topology
from topology.model import Topology


def declare_on(vhost: VirtualHost, topology: Topology) -> None:
    async def connect_and_declare() -> None:
        async with await aio_pika.connect(vhost.url) as connection:
            await declare(connection, topology)

    asyncio.run(connect_and_declare())


def unbind(vhost: VirtualHost, *, queue: str, exchange: str, routing_key: str) -> None:
    async def connect_and_unbind() -> None:
        async with await aio_pika.connect(vhost.url) as connection, connection.channel() as channel:
            bound = await channel.get_queue(queue, ensure=False)
            await bound.unbind(exchange, routing_key)

    asyncio.run(connect_and_unbind())


@pytest.fixture
def declared(vhost: VirtualHost) -> VirtualHost:
    """A fresh virtual host with the whole topology."""
    declare_on(vhost, postroom_topology())
    return vhost


@pytest.fixture
def operator(declared: VirtualHost) -> Iterator[Management]:
    """The management API with an operator's rights, and no others."""
    management = declared.server.management
    user, password = f"looker-{declared.name}", secrets.token_hex(8)
    put_operator(management, vhost=declared.name, user=user, password=password)
    yield Management(management.url, user, password)
    management.request("DELETE", "users", user)
