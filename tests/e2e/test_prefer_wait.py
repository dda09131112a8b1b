"""Prefer: wait, through real processes: the answer if it comes in time, 202 if not, and never too many."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.e2e.conftest import Whole
from tests.harness.api import Api, email
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.line import Line
from tests.harness.system import System

CONFIG = '[claims]\nlease = "45s"\n[loops]\nrelay_interval = "1s"\nrelay_grace = "1s"\n'
THREADS = 6
ROOM = THREADS // 2


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    env = {"API_THREADS": str(THREADS)}
    started: Whole = start_whole(config=CONFIG, api_workers=1, env=env)
    return started


@pytest.fixture
def api(whole: Whole) -> Api:
    whole.system.provider.heal()
    return whole.system.api


def _send(url: str, *, wait: int, recipient: str = "ann@example.com") -> requests.Response:
    """On a connection of its own, so that many can wait at once."""
    client = Api(url)
    try:
        return client.request(
            "POST", "/send", json=email(recipient=recipient), headers={"Prefer": f"wait={wait}"}
        )
    finally:
        client.close()


def test_the_providers_answer_is_waited_for(api: Api) -> None:
    response = _send(api.url, wait=10)
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "wait=10"
    answer = response.json()
    assert answer["detail"] in ("submitted", "delivered")
    assert api.status(answer["request_id"])["request_id"] == answer["request_id"]


def test_a_definite_no_is_an_answer_too(api: Api) -> None:
    response = _send(api.url, wait=10, recipient="fault+reject@example.com")
    assert response.status_code == 200
    assert (response.json()["status"], response.json()["detail"]) == ("failed", "rejected")


def test_a_wait_that_ends_without_an_answer_ends_with_202(api: Api) -> None:
    response = _send(api.url, wait=1, recipient="fault+slow.5@example.com")
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "wait=1"
    request_id = response.json()["request_id"]
    assert response.json() == {"status": "accepted", "request_id": request_id}
    api.wait_for_status(request_id, "sent", within=60)


def test_a_wish_beyond_the_most_is_cut_and_said_so(api: Api) -> None:
    response = _send(api.url, wait=3600)
    assert (response.status_code, response.headers["Preference-Applied"]) == (200, "wait=10")


def test_waiters_beyond_the_room_are_answered_at_once_and_accepting_goes_on(whole: Whole, api: Api) -> None:
    """Half the threads may wait; the provider holds all of them back until it is told to go on."""
    provider = whole.system.provider
    provider.set_faults(latency=6)
    before = provider.received()
    with ThreadPoolExecutor(ROOM) as threads:
        waiting = [threads.submit(_send, api.url, wait=10) for _ in range(ROOM)]
        wait_until(lambda: provider.received() >= before + ROOM, within=60, what="all of them are submitted")
        beyond = _send(api.url, wait=10)
        assert beyond.status_code == 202
        assert "Preference-Applied" not in beyond.headers
        assert api.post(email()).status_code == 202
        assert not any(future.done() for future in waiting)
        answered = [future.result() for future in waiting]
    assert {response.status_code for response in answered} == {200}
    assert {response.headers["Preference-Applied"] for response in answered} == {"wait=10"}


def test_with_the_broker_down_a_waiter_gets_202_and_the_email_is_sent_later(
    start_system: Callable[..., System], vhost: VirtualHost, line_to: Callable[[int], Line]
) -> None:
    line = line_to(vhost.server.port)
    system = start_system(amqp_url=line.over(vhost.url), config=CONFIG)
    line.cut()
    response = _send(system.api.url, wait=1)
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "wait=1"
    line.restore()
    system.api.wait_for_status(response.json()["request_id"], "sent", within=90)
    system.provider.assert_accepted_once([response.json()["request_id"]])
