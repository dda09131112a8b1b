"""A provider that is down for the whole schedule, and letters that a person moves once it is back.

They are moved as the management UI does it: by a real shovel, with an operator's login.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.conftest import BREAKER_STAYS_CLOSED, Whole
from tests.harness.amqp import Outgoing
from tests.harness.api import email
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value, wait_until
from tests.harness.system import System

LANES = ("critical", "transactional", "standard", "bulk")
RETRIES = "\n".join(f'[lanes.{lane}]\nretry = ["1s", "1s"]\nmax_wait = "{{max_wait}}"' for lane in LANES)
CONFIG = BREAKER_STAYS_CLOSED + RETRIES.format(max_wait="5m")
ATTEMPTS = 3
COPIES = "test.copies"
"""A queue that gets whatever the test binds it to, beside the queues that are meant to."""


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    return start_whole(config=CONFIG, consumers=2)


@pytest.fixture
def vhost(whole: Whole) -> VirtualHost:
    return whole.vhost


@pytest.fixture
def system(whole: Whole) -> Iterator[System]:
    yield whole.system
    whole.system.provider.heal()
    whole.system.provider.forget()


@pytest.fixture
def copies(vhost: VirtualHost) -> Iterator[Callable[[str], None]]:
    """Keeps a copy of every message that is published with this key: `copies("dead")`."""

    def bind(routing_key: str) -> None:
        path = ("bindings", vhost.name, "e", "email", "q", COPIES)
        management.request("POST", *path, json={"routing_key": routing_key})

    management = vhost.server.management
    management.request("PUT", "queues", vhost.name, COPIES, json={"durable": True})
    yield bind
    management.request("DELETE", "queues", vhost.name, COPIES)


def test_an_outage_longer_than_the_schedule_ends_in_email_dead_and_moving_revives(
    system: System, vhost: VirtualHost
) -> None:
    # Each would fail twice more after the outage, so that only a fresh set of attempts sends it.
    bodies = [email(lane=lane, recipient="fault+error.2@example.com") for lane in LANES for _ in range(25)]
    request_ids = die(system, vhost, bodies)

    letters = vhost.peek("email.dead")
    assert {letter_id(letter) for letter in letters} == set(request_ids)
    for letter in letters:
        assert_tells_its_story(letter)
    system.provider.forget()
    system.provider.come_up()
    vhost.move_messages("email.dead", "email.requeue", count=60)
    vhost.move_messages("email.dead", "email.standard")  # whatever their lane is

    system.api.wait_for_all(request_ids, "sent", within=120)
    system.provider.assert_accepted_once(request_ids)
    assert {system.api.status(request_id)["attempts"] for request_id in request_ids} == {ATTEMPTS}
    assert system.provider.received() == ATTEMPTS * len(request_ids)
    assert vhost.depth("email.dead") == 0


def test_an_outage_longer_than_the_lanes_wait_ends_in_email_dead_too_and_moving_revives(
    start_whole: Callable[..., Whole],
) -> None:
    """As it is with a breaker: all but the first few die without ever being tried."""
    probes = '[breaker]\nlongest_pause = "2s"\n'  # well within the max_wait
    whole = start_whole(config=probes + RETRIES.format(max_wait="10s"), consumers=2)
    system, vhost = whole.system, whole.vhost
    request_ids = die(system, vhost, [email(lane=lane) for lane in LANES for _ in range(25)])
    letters = vhost.peek("email.dead")
    assert {letter_id(letter) for letter in letters} == set(request_ids)
    headers = [letter["properties"]["headers"] for letter in letters]
    assert {each["reason"] for each in headers} == {"max_wait_exceeded"}
    print(f"attempts spent on the dead: {Counter(each['attempts'] for each in headers)}")
    assert sum(each["attempts"] for each in headers) < len(letters) * ATTEMPTS / 2

    system.provider.come_up()
    vhost.move_messages("email.dead", "email.requeue")
    system.api.wait_for_all(request_ids, "sent", within=120)
    system.provider.assert_accepted_once(request_ids)
    assert vhost.depth("email.dead") == 0


@pytest.mark.parametrize("lane", ["critical", "bulk"])
def test_a_letter_moved_into_its_lane_is_sent(system: System, vhost: VirtualHost, lane: str) -> None:
    (request_id,) = die(system, vhost, [email(lane=lane)])
    system.provider.come_up()
    vhost.move_messages("email.dead", f"email.{lane}")
    system.api.wait_for_detail(request_id, "delivered")
    system.provider.assert_accepted_once([request_id])


def test_a_letter_moved_into_the_wrong_lane_is_sent_in_its_own(
    system: System, vhost: VirtualHost, copies: Callable[[str], None]
) -> None:
    (request_id,) = die(system, vhost, [email(lane="bulk")])
    copies("bulk")
    copies("critical")
    system.provider.come_up()
    vhost.move_messages("email.dead", "email.critical")
    system.api.wait_for_detail(request_id, "delivered")
    assert {copy["routing_key"] for copy in vhost.peek(COPIES)} == {"bulk"}


@pytest.mark.parametrize("destination", ["email.requeue", "email.transactional"])
def test_a_stale_copy_of_a_letter_sends_nothing_again(
    system: System,
    vhost: VirtualHost,
    copies: Callable[[str], None],
    destination: str,
) -> None:
    copies("dead")
    request_ids = die(system, vhost, [email() for _ in range(10)])
    system.provider.come_up()
    vhost.move_messages("email.dead", "email.requeue")
    system.api.wait_for_all(request_ids, "sent", within=60)

    received = system.provider.received()
    vhost.move_messages(COPIES, destination)
    wait_for_value(lambda: vhost.total(destination), 0, within=30, what="the copies were consumed")
    system.api.wait_for_all([system.api.send()], "sent", within=60)
    assert system.provider.received() == received + 1
    system.provider.assert_accepted_once(request_ids)
    assert {system.api.status(request_id)["detail"] for request_id in request_ids} == {"delivered"}


def test_a_letter_that_died_twice_is_revived_by_its_second_letter_only(
    system: System,
    vhost: VirtualHost,
    copies: Callable[[str], None],
) -> None:
    copies("dead")
    (request_id,) = die(system, vhost, [email()])
    vhost.move_messages("email.dead", "email.requeue")
    wait_for_value(lambda: vhost.depth("email.dead"), 1, within=60, what="it died again")
    first, second = vhost.peek(COPIES)
    assert letter_gen(second) > letter_gen(first)

    system.provider.come_up()
    vhost.move_messages(COPIES, "email.requeue", count=1)
    wait_for_value(lambda: vhost.total("email.requeue"), 0, within=30, what="the first letter was consumed")
    assert system.api.status(request_id)["detail"] == "dead"
    vhost.move_messages("email.dead", "email.requeue")
    system.api.wait_for_detail(request_id, "delivered")
    system.provider.assert_accepted_once([request_id])


def test_what_is_no_letter_is_refused_and_the_consumer_lives_on(system: System, vhost: VirtualHost) -> None:
    for queue in ("email.requeue", "email.bulk"):
        vhost.amqp.publish("", queue, [Outgoing(body=b"\xff garbage"), Outgoing(body={"id": "no uuid"})])
    wait_for_value(lambda: vhost.depth("email.rejected"), 4, within=30, what="all were refused")
    (request_id,) = die(system, vhost, [email(lane="bulk")])
    system.provider.come_up()
    vhost.move_messages("email.dead", "email.requeue")
    system.api.wait_for_detail(request_id, "delivered")


def die(system: System, vhost: VirtualHost, bodies: list[dict[str, object]]) -> list[str]:
    """Take the provider down, send these emails, and wait until there is a letter for each."""
    system.provider.go_down(mode="503")
    request_ids = system.api.send_many(bodies)
    system.api.wait_for_all(request_ids, "failed", within=120)
    wait_until(
        lambda: vhost.depth("email.dead") >= len(bodies), within=30, what="there is a letter for every email"
    )
    return request_ids


def assert_tells_its_story(letter: dict[str, Any]) -> None:
    headers = letter["properties"]["headers"]
    assert headers["reason"] == "attempts_exhausted"
    assert headers["attempts"] == ATTEMPTS
    assert headers["last_error"] == "HTTP 503"
    assert headers["lane"] in LANES
    assert datetime.fromisoformat(headers["accepted_at"]) < datetime.fromisoformat(headers["died_at"])
    assert set(json.loads(letter["payload"])) == {"id", "gen"}, "nothing private lies in the broker"


def letter_id(letter: dict[str, Any]) -> str:
    request_id: str = json.loads(letter["payload"])["id"]
    return request_id


def letter_gen(letter: dict[str, Any]) -> int:
    gen: int = json.loads(letter["payload"])["gen"]
    return gen
