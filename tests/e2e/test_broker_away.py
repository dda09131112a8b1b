"""Accepting needs the store alone: with the broker away /send goes on, and all is sent once it is back."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest

from tests.harness.api import email
from tests.harness.broker import BrokerServer, VirtualHost
from tests.harness.counters import counted
from tests.harness.deadline import wait_until
from tests.harness.line import Line
from tests.harness.owed import assert_nothing_waits_unowed
from tests.harness.store import StoreDatabase
from tests.harness.system import System

StartSystem = Callable[..., System]

CONFIG = """
[loops]
relay_interval = "500ms"
relay_grace = "1s"
"""

EMAILS = 200


def test_what_is_sent_while_the_broker_is_stopped_goes_out_when_it_is_back(
    own_broker: Callable[[], BrokerServer], start_system: StartSystem, database: StoreDatabase
) -> None:
    broker = own_broker()
    with broker.vhost() as vhost:
        system = start_system(amqp_url=vhost.url, config=CONFIG, consumers=2)
        before = system.api.send_many([email()] * 20)
        soon = datetime.now(UTC) + timedelta(seconds=2)
        before += system.api.send_many([email(send_at=soon.isoformat())] * 20)
        broker.stop()
        assert_degraded(system)
        while_away = system.api.send_many([email()] * EMAILS, connections=16)
        assert_waiting_ends_without_an_answer(system)
        # Those that start now must wait for it as well as those that have lost it.
        system.restart(system.api_process)
        system.consumers[0].kill()
        system.consumers[0].start()
        assert_degraded(system)
        while_away += system.api.send_many([email()] * 20)

        wait_until(lambda: datetime.now(UTC) > soon, within=10, what="the scheduled emails are due")
        broker.start_again()
        for consumers in system.consumers:
            consumers.wait_ready(60)
        system.api.wait_for_all([*before, *while_away], "sent", within=120)
        system.provider.assert_accepted_once([*before, *while_away])
        assert_nothing_waits_unowed(database, vhost)
        wait_until(lambda: readiness(system)["status"] == "ready", within=60, what="the API is ready")
        print(f"{len(while_away)} accepted while the broker was away, all sent")


@pytest.mark.parametrize("fail", [Line.cut, Line.stall], ids=["refused", "unanswered"])
def test_processes_that_wait_for_a_broker_stop_when_they_are_told_to(
    start_system: StartSystem,
    vhost: VirtualHost,
    line_to: Callable[[int], Line],
    database: StoreDatabase,
    fail: Callable[[Line], None],
) -> None:
    line = line_to(vhost.server.port)
    fail(line)
    system = start_system(amqp_url=line.over(vhost.url), config=CONFIG, ready=False)
    system.api_process.wait_ready(60)
    wait_until(
        lambda: "owed" in database["emails"].index_information(),
        within=60,
        what="the consumers have made the indexes: their connection is next",
    )
    assert system.consumers[0].stop(within=30) == 0
    assert system.api_process.stop(within=30) == 0


def test_processes_get_connected_however_often_the_connection_breaks_on_the_way(
    start_system: StartSystem, vhost: VirtualHost, line_to: Callable[[int], Line]
) -> None:
    line = line_to(vhost.server.port)
    line.break_connections(first=600, more=300)
    system = start_system(amqp_url=line.over(vhost.url), config=CONFIG, ready=False)
    system.simulator.wait_ready(60)
    system.api_process.wait_ready(60)
    accepted = system.api.send_many([email()] * 20)
    system.consumers[0].wait_ready(120)
    line.restore()
    system.api.wait_for_all(accepted, "sent", within=60)
    system.provider.assert_accepted_once(accepted)
    wait_until(lambda: readiness(system)["status"] == "ready", within=60, what="the API is ready")


def test_what_was_sent_in_a_short_outage_does_not_wait_for_the_grace_that_debts_have(
    start_system: StartSystem, vhost: VirtualHost, line_to: Callable[[int], Line]
) -> None:
    """Else a one-time password would wait longer for the relay than the broker was away. The relay looks so
    seldom that it comes and goes between two looks. What is reported may wait for that grace: the API may be
    connected later than the consumers."""
    line = line_to(vhost.server.port)
    config = '[loops]\nrelay_interval = "5s"\nrelay_grace = "1h"\n'
    system = start_system(amqp_url=line.over(vhost.url), config=config, consumers=2)
    line.cut()
    wait_until(
        lambda: not any(part.is_ready() for part in system.consumers), within=60, what="they have noticed"
    )
    assert_degraded(system)
    while_away = system.api.send_many([email(lane=lane) for lane in ("bulk", "critical")] * 10)
    line.restore()
    back_at = time.time()
    wait_until(
        lambda: set(while_away) <= set(system.provider.summary()["accepted_ids"]),
        within=60,
        what="all are submitted",
    )
    first = min(submission["received_at"] for submission in system.provider.submissions())
    assert counted(system, "relayed_messages") >= len(while_away)
    print(f"the first of {len(while_away)} was submitted {first - back_at:.2f} s after the broker's return")
    system.provider.assert_accepted_once(while_away)


def test_sending_does_not_hang_on_a_line_to_the_broker_that_is_stalled(
    start_system: StartSystem, vhost: VirtualHost, line_to: Callable[[int], Line], database: StoreDatabase
) -> None:
    line = line_to(vhost.server.port)
    system = start_system(amqp_url=line.over(vhost.url), config=CONFIG)
    before = system.api.send_many([email()] * 20)
    line.stall()
    while_stalled = system.api.send_many([email()] * EMAILS, connections=16)
    assert_waiting_ends_without_an_answer(system)
    assert system.api.request("GET", "/readyz").status_code == HTTPStatus.OK

    line.restore()
    system.api.wait_for_all([*before, *while_stalled], "sent", within=120)
    system.provider.assert_accepted_once([*before, *while_stalled])
    assert_nothing_waits_unowed(database, vhost)
    print(f"{len(while_stalled)} accepted over a stalled line to the broker, all sent")


def assert_degraded(system: System) -> None:
    """Not down: the answer is 200, so that nobody takes the API out of service."""

    def is_degraded() -> bool:
        answer = system.api.request("GET", "/readyz")
        assert answer.status_code == HTTPStatus.OK
        told: dict[str, object] = answer.json()
        return {"status": "degraded", "store": "reachable", "broker": "away"}.items() <= told.items()

    wait_until(is_degraded, within=60, what="the API says that the broker is away")


def assert_waiting_ends_without_an_answer(system: System) -> None:
    answer = system.api.post(email(), Prefer="wait=1")
    assert answer.status_code == HTTPStatus.ACCEPTED
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert answer.json()["status"] == "accepted"
    system.api.status(answer.json()["request_id"])


def readiness(system: System) -> dict[str, str]:
    answer: dict[str, str] = system.api.request("GET", "/readyz").json()
    return answer
