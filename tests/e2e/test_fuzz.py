"""Whatever comes in is answered as it should be, and nothing breaks: a slice of it, and a hundred thousand.

Nine tenths go through the app in this process, on a real store; the rest, which is hardly HTTP, to a server.
"""

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings

from api import create_app
from delivery.bootstrap import build_api
from delivery.config import load_config
from tests.e2e.conftest import ALL_FIELDS, NO_BROKER, Brokerless
from tests.harness.fuzzing import SECRET, WAYS_IN, Tally, WayIn, fuzz
from tests.harness.mangling import requests_in_bytes
from tests.harness.system import API_WORKERS, System

ALL = 100_000
SLICE = 500


@pytest.fixture(scope="module")
def brokerless(start_brokerless: Callable[..., Brokerless]) -> Brokerless:
    started: Brokerless = start_brokerless()
    return started


@pytest.fixture
def system(brokerless: Brokerless) -> System:
    return brokerless.system


@pytest.fixture(scope="module")
def app(brokerless: Brokerless, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The app in this process."""
    toml = tmp_path_factory.mktemp("app") / "postroom.toml"
    toml.write_text(ALL_FIELDS, encoding="utf-8")
    environ = {
        "POSTROOM_CONFIG": str(toml),
        "MONGODB_URI": brokerless.database.uri,
        "AMQP_URL": NO_BROKER,
        "WEBHOOK_SECRETS": SECRET,
    }
    parts = build_api(load_config(environ))
    yield create_app(parts)
    parts.publishing.stop(timedelta(0))
    parts.store.client.close()


@pytest.mark.parametrize("way_in", WAYS_IN, ids=str)
def test_a_slice_of_what_may_come_is_answered_as_it_should_be(app: Flask, way_in: WayIn) -> None:
    tally = Tally()
    fuzz(app, way_in, inputs=SLICE * way_in.share // 100, tally=tally)
    assert tally.statuses[400]


def test_a_slice_of_what_is_hardly_http_breaks_no_server(system: System) -> None:
    fuzz_server(system, inputs=SLICE // 10, tally=Tally())


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_are_answered_as_they_should_be(system: System, app: Flask) -> None:
    total, statuses = 0, Counter[int]()
    for way_in in WAYS_IN:
        tally = Tally()
        fuzz(app, way_in, inputs=ALL * way_in.share // 100, tally=tally)
        print(f"{tally.inputs:>7} {way_in}: {dict(sorted(tally.statuses.items()))}", flush=True)
        total, statuses = total + tally.inputs, statuses + tally.statuses
    tally = Tally()
    fuzz_server(system, inputs=ALL // 10, tally=tally)
    print(f"{tally.inputs:>7} hardly HTTP: {dict(sorted(tally.statuses.items()))}", flush=True)
    print(f"{total + tally.inputs:>7} in all", flush=True)
    assert total + tally.inputs >= ALL
    assert statuses[202] > 500
    assert statuses[200] > 1000
    assert statuses[400] > ALL // 3


def fuzz_server(system: System, *, inputs: int, tally: Tally) -> None:
    """Send bytes, each over a connection of its own. Status 0: it was closed without an answer."""
    address = ("127.0.0.1", system.wiring.api_port)

    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests_in_bytes())
    def run(raw: bytes) -> None:
        status = status_of(address, raw)
        tally.inputs += 1
        tally.statuses[status] += 1
        assert status < 500 or status == 501  # not implemented: a transfer coding that nobody knows

    run()
    assert system.api_process.running()
    assert system.api.request("GET", "/livez").status_code == 200
    log = system.api_process.log.read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log
    assert "unexpected error" not in log
    assert log.count("Booting worker") == API_WORKERS


def status_of(address: tuple[str, int], raw: bytes) -> int:
    """The first answer's; a request that isn't whole is ended."""
    with socket.create_connection(address, timeout=60) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            head = connection.makefile("rb").readline(100)
        except (ConnectionResetError, BrokenPipeError):
            return 0
    if not head:
        return 0
    version, status = head.split(b" ")[:2]
    assert version in (b"HTTP/1.0", b"HTTP/1.1")
    return int(status)
