"""Without the store nothing is accepted, and every caller hears so in time.

What may have been written is said to be so, and turns out to be there whole or not at all.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

from stack.services import consumers_part
from tests.harness.api import Api, email
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.line import Line
from tests.harness.owed import assert_nothing_waits_unowed
from tests.harness.ports import free_ports
from tests.harness.store import StoreDatabase, StoreServer
from tests.harness.system import System
from tests.harness.webhooks import event, post_signed

StartSystem = Callable[..., System]

ANSWERED_WITHIN = 10.0
"""Seconds until a caller counts as left hanging. The promise is 2; the figures are printed."""

CONFIG = """
[provider]
min_in_flight = 8
max_in_flight = 8
total_timeout = "3s"
[slots]
reserved = 1
[claims]
lease = "3500ms"
margin = "100ms"
[loops]
relay_interval = "500ms"
relay_grace = "1s"
reconcile_interval = "1s"
"""

RETRIES = ["--webhook-retry-delays", "1,1,2,2,4,4,8"]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after: str | None
    body: dict[str, Any]
    seconds: float


def test_every_caller_hears_that_the_store_was_killed_and_all_goes_on_when_it_is_back(
    own_store: Callable[[], StoreServer], vhost: VirtualHost, start_system: StartSystem
) -> None:
    store = own_store()
    with store.database() as database:
        system = start_system(mongodb_uri=database.uri, config=CONFIG, simulator_options=RETRIES)
        before = system.api.send_many([email()] * 40)
        store.crash()
        answers = send_from_many(system.api, 64)
        assert_all_say_that_the_store_is_away(answers)
        assert_nothing_works_but_health(system, before[0])

        store.start_again()
        wait_until_accepting(system)
        system.api.wait_for_all(before, "sent", within=90)
        known = known_of(system.api, reported_as_possible(answers))
        system.api.wait_for_all(known, "sent", within=60)
        system.provider.assert_accepted_once([*before, *known])
        assert_nothing_waits_unowed(database, vhost)
        print_answers("store killed", answers, known=known)


def test_what_was_held_up_on_a_stalled_line_to_the_store_is_known_afterwards(
    own_store: Callable[[], StoreServer],
    vhost: VirtualHost,
    start_system: StartSystem,
    line_to: Callable[[int], Line],
) -> None:
    store = own_store()
    with store.database() as database:
        line = line_to(database.port)
        system = start_system(mongodb_uri=line.over(database.uri), config=CONFIG, simulator_options=RETRIES)
        before = system.api.send_many([email()] * 40)
        line.stall()
        answers = send_from_many(system.api, 64)
        assert_all_say_that_the_store_is_away(answers)
        possible = reported_as_possible(answers)
        assert possible, "the writes were on their way when the line stalled"
        assert_nothing_works_but_health(system, before[0])

        line.restore()
        wait_until_accepting(system)
        system.api.wait_for_all(before, "sent", within=90)
        known = known_of(system.api, possible)
        assert known, "the line passed on what it had held back"
        system.api.wait_for_all(known, "sent", within=60)
        system.provider.assert_accepted_once([*before, *known])
        assert_nothing_waits_unowed(database, vhost)
        print_answers("line to the store stalled", answers, known=known)


def test_what_the_provider_said_settles_an_email_whose_lease_ran_out_while_the_store_was_away(
    start_system: StartSystem, database: StoreDatabase, line_to: Callable[[int], Line]
) -> None:
    line = line_to(database.port)
    system = start_system(mongodb_uri=line.over(database.uri), config=CONFIG)
    recipient = "fault+slow.2+webhook-lost@example.com"
    accepted = system.api.send_many([email(recipient=recipient)] * 6)
    wait_until(lambda: system.provider.received() == len(accepted), within=60, what="all calls are out")
    line.cut()
    others = consumers_part(
        system.around,
        wiring=dataclasses.replace(system.wiring, mongodb_uri=database.uri),
        number=2,
        health_port=free_ports(1)[0],
    )
    system.consumers.append(others)
    others.start()
    wait_until(lambda: states(database) == {"unconfirmed": 6}, within=60, what="the leases have run out")

    line.restore()
    wait_until(lambda: states(database) == {"submitted": 6}, within=60, what="the answers are written")
    system.provider.assert_accepted_once(accepted)


def wait_until_accepting(system: System) -> None:
    def is_accepting() -> bool:
        return system.api.post(email()).status_code == HTTPStatus.ACCEPTED

    wait_until(is_accepting, within=60, what="/send accepts again")


def send_from_many(api: Api, count: int) -> list[Answer]:
    """So many callers at once, one request each."""

    def send(_: int) -> Answer:
        with requests.Session() as session:
            session.trust_env = False
            return _answer(session.post(f"{api.url}/send", json=email(), timeout=ANSWERED_WITHIN))

    with ThreadPoolExecutor(16) as threads:
        return list(threads.map(send, range(count)))


def assert_all_say_that_the_store_is_away(answers: list[Answer]) -> None:
    assert {answer.status for answer in answers} == {HTTPStatus.SERVICE_UNAVAILABLE}
    for answer in answers:
        assert answer.retry_after is not None
        assert answer.body["status"] == "error"
        assert answer.body["reason"]


def assert_nothing_works_but_health(system: System, request_id: str) -> None:
    status = _answer(system.api.request("GET", f"/status/{request_id}", timeout=ANSWERED_WITHIN))
    body = event(request_id, "DELIVERED")
    webhook = _answer(post_signed(system.api, body, secret=system.wiring.webhook_secrets))
    assert_all_say_that_the_store_is_away([status, webhook])
    ready = system.api.request("GET", "/readyz", timeout=ANSWERED_WITHIN)
    assert ready.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert {"status": "down", "store": "away", "broker": "connected"}.items() <= ready.json().items()
    assert system.api.request("GET", "/livez", timeout=ANSWERED_WITHIN).status_code == HTTPStatus.OK
    assert system.consumers[0].running()
    assert not system.consumers[0].is_ready()


def reported_as_possible(answers: list[Answer]) -> list[str]:
    return [answer.body["request_id"] for answer in answers if "request_id" in answer.body]


def known_of(api: Api, request_ids: list[str]) -> list[str]:
    """Those of these that are there."""
    answers = {found: api.request("GET", f"/status/{found}") for found in request_ids}
    assert {answer.status_code for answer in answers.values()} <= {HTTPStatus.OK, HTTPStatus.NOT_FOUND}
    return [found for found, answer in answers.items() if answer.status_code == HTTPStatus.OK]


def states(database: StoreDatabase) -> dict[str, int]:
    return dict(Counter(found["state"] for found in database["emails"].find({}, {"state": 1})))


def print_answers(what: str, answers: list[Answer], *, known: list[str]) -> None:
    slowest = max(answer.seconds for answer in answers)
    possible = len(reported_as_possible(answers))
    print(
        f"{what}: {len(answers)} answers of 503, the slowest after {slowest:.2f} s; "
        f"{possible} may have been accepted, {len(known)} of them were"
    )


def _answer(response: requests.Response) -> Answer:
    return Answer(
        response.status_code,
        response.headers.get("Retry-After"),
        response.json(),
        response.elapsed.total_seconds(),
    )
