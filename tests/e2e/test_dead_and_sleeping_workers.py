"""Consumers that die or are stopped (SIGSTOP) with emails in hand: nothing is lost, nothing is sent twice.

What a worker had in hand is settled by asking the provider, while it is gone; when it wakes, its word no
longer counts and it sends nothing that it claimed before.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from stack.part import Part
from tests.harness.api import email
from tests.harness.counters import counted
from tests.harness.deadline import wait_for_value, wait_until
from tests.harness.failing_parts import failing_consumers, has_fired
from tests.harness.failpoints import Failpoint, Fault
from tests.harness.store import StoreDatabase
from tests.harness.system import System

SLOTS = 8

CONFIG = f"""
[provider]
min_in_flight = {SLOTS}
max_in_flight = {SLOTS}
connect_timeout = "1s"
total_timeout = "2s"
[slots]
reserved = 1
[claims]
lease = "4s"
margin = "500ms"
[loops]
relay_grace = "1s"
reconcile_interval = "500ms"
check_interval = "200ms"
[checks]
offsets = ["1s", "2s", "4s", "8s", "16s", "32s", "60s", "90s"]
late_accept = "1s"
report_overdue = "3s"
calls_per_minute = 6000
[lanes.transactional]
retry = ["1s", "1s"]
unknown_deadline = "5m"
"""


@pytest.fixture
def system(start_system: Callable[..., System]) -> System:
    """Two consumers; the second does not run yet."""
    system = start_system(config=CONFIG, consumers=2)
    system.provider.set_faults(status_budget=None)
    system.consumers[1].stop(within=30)
    return system


@contextmanager
def asleep(part: Part) -> Iterator[None]:
    """The process, its threads included, stands still; at the end it goes on."""
    os.kill(part.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(part.pid, signal.SIGCONT)


def in_flight(system: System, count: int) -> None:
    wait_for_value(
        lambda: system.provider.count("in_flight"), count, within=60, what="its slots are with the provider"
    )


def count(database: StoreDatabase, state: str) -> int:
    return database["emails"].count_documents({"state": state})


def assert_sent_once(system: System, request_ids: list[str]) -> None:
    system.provider.assert_accepted_once(request_ids)
    submitted = [submission["request_id"] for submission in system.provider.submissions()]
    assert sorted(submitted) == sorted(request_ids)


def test_what_a_killed_consumer_had_in_hand_is_found_by_asking(
    system: System, database: StoreDatabase
) -> None:
    """Its calls are accepted, and nobody ever reports them."""
    body = email(recipient="fault+slow.1.5+webhook-lost@example.com")
    request_ids = system.api.send_many([body] * 20)
    in_flight(system, SLOTS - 1)
    system.consumers[0].kill()
    system.consumers[1].start()
    system.api.wait_for_all(request_ids, "sent", within=120)
    assert_sent_once(system, request_ids)
    settled = database["emails"].count_documents({"history.state": "unconfirmed"})
    assert settled >= SLOTS - 1, "those in hand went through the check"
    assert counted(system, "leases_run_out") == settled
    assert counted(system, "emails_settled_by_checks") >= settled
    assert counted(system, "status_checks") >= counted(system, "emails_settled_by_checks")


def test_a_consumer_that_wakes_with_answers_in_hand_changes_nothing(
    system: System, database: StoreDatabase
) -> None:
    """It sleeps during its calls, past its leases. More of its messages wait in its memory."""
    sleeper, other = system.consumers
    body = email(recipient="fault+slow.1+webhook-lost@example.com")
    request_ids = system.api.send_many([body] * 30)
    in_flight(system, SLOTS - 1)
    with asleep(sleeper):
        other.start()
        wait_until(
            lambda: database["emails"].count_documents({"history.state": "unconfirmed"}) >= SLOTS - 1,
            within=60,
            what="its leases have run out",
        )
        wait_for_value(lambda: count(database, "unconfirmed"), 0, within=60, what="all of them are settled")
    system.api.wait_for_all(request_ids, "sent", within=120)
    wait_until(sleeper.is_ready, within=60, what="the sleeper is awake")
    assert_sent_once(system, request_ids)


@pytest.mark.parametrize(
    "is_retried_meanwhile", [True, False], ids=["retried meanwhile", "still unconfirmed"]
)
def test_a_consumer_that_wakes_after_its_lease_does_not_send_what_it_claimed(
    start_system: Callable[..., System], database: StoreDatabase, is_retried_meanwhile: bool
) -> None:
    """It falls asleep between the claim and the call, the worst moment there is."""
    late_accept = "1s" if is_retried_meanwhile else "10m"
    system = start_system(config=CONFIG.replace('late_accept = "1s"', f'late_accept = "{late_accept}"'))
    system.provider.set_faults(status_budget=None)
    (other,) = system.consumers
    other.stop(within=30)
    request_ids = system.api.send_many([email()] * 5)
    failpoint = Failpoint(fault=Fault.SLEEP_AFTER, part="claims", method="claim")
    with failing_consumers(system, failpoint) as sleeper:
        wait_until(lambda: has_fired(failpoint, sleeper), within=60, what="it sleeps with its claims in hand")
        claimed = count(database, "submitting")
        assert claimed
        other.start()
        if is_retried_meanwhile:
            # Not all: the broker hands some of the new messages to the sleeper.
            wait_until(
                lambda: system.provider.count("accepted"),
                within=60,
                what="another one has sent some of what it claimed",
            )
        else:
            wait_for_value(
                lambda: count(database, "unconfirmed"), claimed, within=60, what="its leases have run out"
            )
        os.kill(sleeper.pid, signal.SIGCONT)
        wait_until(sleeper.is_ready, within=60, what="it is awake")
        system.api.wait_for_all(request_ids, "sent", within=120)
        assert_sent_once(system, request_ids)
