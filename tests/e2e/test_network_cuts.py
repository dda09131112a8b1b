"""Networks that fail without a word, between us and the broker and between us and the store.

Stalls of 30 s that then go on, and connections that are half-open: no end hears of it. Callers go on sending
all the while. No request hangs, consuming resumes by itself, nothing is lost and nothing is sent twice.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import cycle
from urllib.parse import urlsplit

import pytest
import requests

from delivery.domain.lanes import Lane
from tests.harness.api import email
from tests.harness.broker import BrokerServer, VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.line import Line
from tests.harness.owed import assert_nothing_waits_unowed
from tests.harness.store import StoreDatabase, StoreServer
from tests.harness.system import System

pytestmark = pytest.mark.long

STALL = 30.0
CALLERS = 4
PAUSE = 0.2
"""Seconds between an answer and the next request of a caller."""

HANGS = 10.0
"""Seconds until a caller counts as left hanging. The promise is 2; the figures are printed."""

# The other lanes' policy: here nobody decides to send anything twice.
CONFIG = """
[lanes.critical]
on_unknown = "hold"
unknown_deadline = "45m"
"""

RETRIES = ["--webhook-retry-delays", "1,1,2,4,4,8,8,8,8,8"]


@dataclass(frozen=True, slots=True)
class Wired:
    """A system whose every connection to its broker and its store goes over a line."""

    system: System
    vhost: VirtualHost
    database: StoreDatabase
    lines: dict[str, Line]


@dataclass(frozen=True, slots=True)
class Answer:
    """To a POST /send. request_id: also where it may have been accepted."""

    status: int
    request_id: str | None
    seconds: float


@pytest.fixture(scope="module")
def wired(
    broker: BrokerServer, store: StoreServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Wired]:
    with ExitStack() as stack:
        vhost = stack.enter_context(broker.vhost())
        database = stack.enter_context(store.database())
        lines = {name: line_over(url) for name, url in (("broker", vhost.url), ("store", database.uri))}
        for line in lines.values():
            stack.callback(line.close)
        system = System(
            tmp_path_factory.mktemp("system"),
            amqp_url=lines["broker"].over(vhost.url),
            mongodb_uri=lines["store"].over(database.uri),
            config=CONFIG,
            consumers=2,
            simulator_options=RETRIES,
        )
        stack.callback(system.close)
        system.start()
        yield Wired(system, vhost, database, lines)


@pytest.fixture(autouse=True)
def _show_logs(wired: Wired) -> Iterator[None]:
    """A failed test shows the end of every log."""
    yield
    print(wired.system.logs())


def test_a_stalled_line_to_the_broker_holds_up_no_request(wired: Wired) -> None:
    with sending(wired, "broker stalled") as answers:
        stall(wired, "broker")
    assert {answer.status for answer in answers} == {HTTPStatus.ACCEPTED}


def test_half_open_connections_to_the_broker_are_given_up_and_made_anew(wired: Wired) -> None:
    with sending(wired, "broker half-open") as answers:
        wired.lines["broker"].lose_connections()
        wait_until(lambda: not is_ready(wired), within=60, what="somebody notices")
    assert {answer.status for answer in answers} == {HTTPStatus.ACCEPTED}


def test_a_stalled_line_to_the_store_holds_up_no_request(wired: Wired) -> None:
    with sending(wired, "store stalled"):
        stall(wired, "store")


def test_half_open_connections_to_the_store_are_given_up_and_made_anew(wired: Wired) -> None:
    with sending(wired, "store half-open") as answers:
        lost_at = len(answers)
        wired.lines["store"].lose_connections()
        wait_until(
            lambda: HTTPStatus.ACCEPTED in {answer.status for answer in answers[lost_at + CALLERS :]},
            within=60,
            what="/send accepts again",
        )


def stall(wired: Wired, line: str) -> None:
    """For 30 s nothing comes through; then everything does, what was held back first."""
    began = time.monotonic()
    wired.lines[line].stall()
    wait_until(lambda: not is_ready(wired), within=STALL, what="somebody notices")
    wait_until(lambda: time.monotonic() - began >= STALL, within=STALL * 2, what="the stall has lasted 30 s")
    wired.lines[line].restore()


def line_over(url: str) -> Line:
    port = urlsplit(url).port
    assert port is not None
    return Line(port)


def is_ready(wired: Wired) -> bool:
    """Whether every process says that it has its broker and its store."""
    system = wired.system
    ready = system.api.request("GET", "/readyz", timeout=HANGS)
    return bool(ready.json()["status"] == "ready" and all(part.is_ready() for part in system.consumers))


@contextmanager
def sending(wired: Wired, cut: str) -> Iterator[list[Answer]]:
    """Callers send before, during and after what is done within; then all that came of it is looked at."""
    system = wired.system
    wait_until(lambda: is_ready(wired), within=60, what="all are ready")
    answers: list[Answer] = []
    stop = threading.Event()
    with ThreadPoolExecutor(CALLERS) as threads:
        calling = [threads.submit(call, system.api.url, answers, stop) for _ in range(CALLERS)]
        try:
            wait_until(lambda: len(answers) >= 20, within=60, what="callers are sending")
            began, first = time.monotonic(), len(answers)
            yield answers
            wait_until(lambda: is_ready(wired), within=120, what="all are ready again")
            lasted, last = time.monotonic() - began, len(answers)
            wait_until(lambda: len(answers) >= last + 20, within=60, what="callers have gone on")
        finally:
            stop.set()
        for caller in calling:
            caller.result()
    accepted = [answer.request_id for answer in answers if answer.status == HTTPStatus.ACCEPTED]
    possible = [a.request_id for a in answers if a.status != HTTPStatus.ACCEPTED and a.request_id]
    known = [request_id for request_id in possible if is_known(system, request_id)]
    expected = [request_id for request_id in [*accepted, *known] if request_id]
    system.api.wait_for_all(expected, "sent", within=120)
    doubled = set(system.provider.summary()["duplicates"]) & set(expected)
    others = Counter(answer.status for answer in answers if answer.status != HTTPStatus.ACCEPTED)
    print(
        f"{cut}, all ready again after {lasted:.0f} s: {len(accepted)} accepted, "
        f"{dict(others)} other answers, {len(possible)} may have been accepted, {len(known)} of them were; "
        f"{len(expected)} sent, {len(doubled)} doubled; the slowest /send meanwhile "
        f"{max(answer.seconds for answer in answers[first:last]):.2f} s"
    )
    assert set(others) <= {HTTPStatus.SERVICE_UNAVAILABLE}
    system.provider.assert_accepted_once(expected)
    assert_nothing_waits_unowed(wired.database, wired.vhost)


def call(url: str, answers: list[Answer], stop: threading.Event) -> None:
    """Send one email after another, until told to stop. Raises if an answer does not come in time."""
    with requests.Session() as session:
        session.trust_env = False
        for lane in cycle(Lane):
            response = session.post(f"{url}/send", json=email(lane=lane.value), timeout=HANGS)
            body = response.json()
            seconds = response.elapsed.total_seconds()
            answers.append(Answer(response.status_code, body.get("request_id"), seconds))
            if stop.wait(PAUSE):
                return


def is_known(system: System, request_id: str) -> bool:
    answer = system.api.request("GET", f"/status/{request_id}")
    assert answer.status_code in (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
    return answer.status_code == HTTPStatus.OK
