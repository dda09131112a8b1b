"""Fixtures of whole systems. tests/conftest.py has start_system, for a system that one test has to itself."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from delivery.config_values import EXTRA_FIELDS
from tests.harness.amqp import AmqpClient
from tests.harness.broker import BrokerServer, VirtualHost
from tests.harness.store import StoreDatabase, StoreServer
from tests.harness.system import System

BREAKER_STAYS_CLOSED = "[breaker]\nrun = 100000\nleast_calls = 1000000\n"
"""For tests of what failures do to single emails, where these fail by the dozen and nothing else is sent."""


NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"
ALL_FIELDS = f"[provider]\nextra_fields = {list(EXTRA_FIELDS)}\n"

_TENANT_WITH_SENDER = {
    "_id": "default",
    "lanes": ["critical", "transactional", "standard", "bulk"],
    "senders": [],
    "amqp_users": [],
    "sender_default": "shop@example.com",
}


@dataclass(frozen=True, slots=True)
class Whole:
    """A running system, and the virtual host and the database that it works with."""

    system: System
    vhost: VirtualHost
    database: StoreDatabase


@pytest.fixture(scope="module")
def start_whole(
    broker: BrokerServer, store: StoreServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Whole]]:
    """As start_system, for all tests of a module: `start_whole(config=..., consumers=2)`."""
    with ExitStack() as stack:

        def start(**options: Any) -> Whole:
            vhost = stack.enter_context(broker.vhost())
            database = stack.enter_context(store.database())
            system = System(
                tmp_path_factory.mktemp("system"), amqp_url=vhost.url, mongodb_uri=database.uri, **options
            )
            stack.callback(system.close)
            system.start()
            return Whole(system, vhost, database)

        yield start


@dataclass(frozen=True, slots=True)
class Brokerless:
    """An API that accepts, and nothing else: what it accepts stays owed."""

    system: System
    database: StoreDatabase


@pytest.fixture(scope="module")
def start_brokerless(
    store: StoreServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Brokerless]]:
    """For tests of the API alone. Its default tenant has a default sender; the provider takes all fields."""
    with ExitStack() as stack:

        def start(**options: Any) -> Brokerless:
            database = stack.enter_context(store.database())
            database["tenants"].insert_one(_TENANT_WITH_SENDER)
            system = System(
                tmp_path_factory.mktemp("brokerless"),
                amqp_url=NO_BROKER,
                mongodb_uri=database.uri,
                consumers=0,
                config=ALL_FIELDS,
                **options,
            )
            stack.callback(system.close)
            system.start()
            return Brokerless(system, database)

        yield start


@pytest.fixture(autouse=True)
def show_logs_of_whole(request: pytest.FixtureRequest) -> Iterator[None]:
    """A failed test of a module that shares one system as its fixture `whole` shows the end of every log."""
    yield
    if "whole" in request.fixturenames:
        print(request.getfixturevalue("whole").system.logs())


@pytest.fixture
def service(vhost: VirtualHost) -> Iterator[AmqpClient]:
    """A client with the rights of an internal service."""
    client = AmqpClient(vhost.service_url)
    yield client
    client.close()
