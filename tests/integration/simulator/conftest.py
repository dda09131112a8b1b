"""One simulator and one receiver of its webhooks for all tests here; each test finds them fresh."""

from collections.abc import Iterator

import pytest

from tests.integration.simulator.receiver import Receiver, receiver
from tests.integration.simulator.running import Simulator, simulator


@pytest.fixture(scope="session")
def shared_receiver() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(scope="session")
def shared_simulator(shared_receiver: Receiver) -> Iterator[Simulator]:
    with simulator(
        "--control-port",
        "0",
        "--webhook-url",
        shared_receiver.url,
        "--webhook-retry-delays",
        "0.1,0.1",
        "--faults",
        '{"webhook_delay": 0}',
    ) as running:
        yield running


@pytest.fixture
def provider(shared_simulator: Simulator, hooks: Receiver) -> Simulator:
    """The simulator, healthy and with empty logs."""
    shared_simulator.delete("/_faults")
    shared_simulator.delete("/_log")
    shared_simulator.wait_until_quiet()
    hooks.webhooks.clear()
    return shared_simulator


@pytest.fixture
def hooks(shared_receiver: Receiver) -> Receiver:
    """What receives the simulator's webhooks, taking all of them."""
    shared_receiver.answer = lambda _: 204
    shared_receiver.webhooks.clear()
    return shared_receiver
