"""Fixtures of whole systems. tests/conftest.py has start_system, for a system that one test has to itself."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.harness.amqp import AmqpClient
from tests.harness.broker import BrokerServer, VirtualHost
from tests.harness.store import StoreDatabase, StoreServer
from tests.harness.system import System

BREAKER_STAYS_CLOSED = "[breaker]\nrun = 100000\nleast_calls = 1000000\n"
"""For tests of what failures do to single emails, where these fail by the dozen and nothing else is sent."""


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
