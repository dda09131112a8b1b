"""Fixtures that start real servers, each only when a test asks for it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from stack.broker import RabbitMQMissing
from tests.harness.broker import BrokerServer, VirtualHost, private_broker, running_broker
from tests.harness.line import Line
from tests.harness.programs import skip_or_fail
from tests.harness.store import StoreDatabase, StoreServer, private_store, running_store
from tests.harness.system import System


def pytest_configure() -> None:
    """Hypothesis, too, has no threshold on time: a busy machine fails no test."""
    settings.register_profile("postroom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("postroom")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerServer]:
    """The session's broker, shared by its tests: never kill or stop it."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running_broker(tmp_path_factory.mktemp("broker")))
        except RabbitMQMissing as missing:
            skip_or_fail(str(missing))
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
                return skip_or_fail(str(missing))

        yield start


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[Callable[[], StoreServer]]:
    """Starts a store that the test may crash, stop and start again."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(private_store(tmp_path / "own-store"))


@pytest.fixture
def line_to() -> Iterator[Callable[[int], Line]]:
    """Opens a line to a port, which the test may cut, stall and restore."""
    with ExitStack() as stack:

        def open_line(target_port: int) -> Line:
            line = Line(target_port)
            stack.callback(line.close)
            return line

        yield open_line


@pytest.fixture
def start_system(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., System]:
    """Starts simulator, API and consumers: `start_system(config=..., consumers=2)`.

    Takes what System takes. Without `amqp_url` and `mongodb_uri` the test's fresh vhost and database are
    used. `ready=False` returns without waiting. A failed test shows the end of every log.
    """
    started: list[System] = []

    def start(
        *, amqp_url: str | None = None, mongodb_uri: str | None = None, ready: bool = True, **options: Any
    ) -> System:
        system = System(
            tmp_path / f"system-{len(started) + 1}",
            amqp_url=amqp_url or request.getfixturevalue("vhost").url,
            mongodb_uri=mongodb_uri or request.getfixturevalue("database").uri,
            **options,
        )
        started.append(system)
        # As finalizers of the test they run before those of its fixtures: the system ends before its vhost.
        request.node.addfinalizer(system.close)
        # pytest shows what a finalizer prints only where the test failed.
        request.node.addfinalizer(lambda: print(system.logs()))
        system.start(ready=ready)
        return system

    return start
