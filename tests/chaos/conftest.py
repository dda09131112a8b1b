"""The parts of a trial, and the report at the end of the run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.chaos.passes import Scene
from tests.chaos.times import Times
from tests.harness.broker import BrokerServer
from tests.harness.store import StoreServer
from tests.harness.system import System

REPORT = "chaos report"

CONSUMERS = 2


@pytest.fixture
def set_scene(
    start_system: Callable[..., System],
    own_broker: Callable[[], BrokerServer],
    own_store: Callable[[], StoreServer],
) -> Iterator[Callable[[Times], Scene]]:
    """A whole system of its own for a test, with these times."""
    with ExitStack() as stack:

        def start(times: Times) -> Scene:
            broker, store = own_broker(), own_store()
            vhost = stack.enter_context(broker.vhost())
            database = stack.enter_context(store.database())
            system = start_system(
                amqp_url=vhost.url,
                mongodb_uri=database.uri,
                config=times.config(),
                consumers=CONSUMERS,
                simulator_options=times.simulator_options(),
            )
            return Scene(
                system=system, broker=broker, vhost=vhost, store=store, database=database, times=times
            )

        yield start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Whatever the tests found, and wherever they ran (pytest-xdist), their reports come together here."""
    for outcome in ("passed", "failed"):
        for test in terminalreporter.getreports(outcome):
            for name, text in test.user_properties:
                if name == REPORT:
                    terminalreporter.write_line(text)
