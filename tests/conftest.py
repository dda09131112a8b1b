"""Fixtures that start real servers, each only when a test asks for it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from stack.broker import RabbitMQMissing
from tests.harness.broker import BrokerServer, VirtualHost, private_broker, running_broker
from tests.harness.store import StoreDatabase, StoreServer, private_store, running_store


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerServer]:
    """The session's broker, shared by its tests: never kill or stop it."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running_broker(tmp_path_factory.mktemp("broker")))
        except RabbitMQMissing as missing:
            _skip_or_fail(str(missing))
        yield server


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    """The session's store, shared by its tests: never kill or stop it."""
    with running_store(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture
def vhost(broker: BrokerServer) -> Iterator[VirtualHost]:
    """A fresh virtual host on the session's broker."""
    with broker.vhost() as fresh:
        yield fresh


@pytest.fixture
def database(store: StoreServer) -> Iterator[StoreDatabase]:
    """A fresh database in the session's store."""
    with store.database() as fresh:
        yield fresh


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Callable[[], BrokerServer]]:
    """Starts a broker that the test may crash, stop and start again."""
    with ExitStack() as stack:

        def start() -> BrokerServer:
            try:
                return stack.enter_context(private_broker(tmp_path / "own-broker"))
            except RabbitMQMissing as missing:
                return _skip_or_fail(str(missing))

        yield start


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[Callable[[], StoreServer]]:
    """Starts a store that the test may crash, stop and start again."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(private_store(tmp_path / "own-store"))


def _skip_or_fail(reason: str) -> NoReturn:
    """A laptop without a broker skips; CI fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
