"""Bulk never delays a one-time password, and never starves: slots are reserved, the rest shared by weight."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

from delivery.domain.lanes import Lane
from tests.harness.api import email
from tests.harness.backlog import put_backlog
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.store import StoreDatabase
from tests.harness.system import System

StartSystem = Callable[..., System]

SLOTS = 16
CONFIG = f"""
[provider]
max_in_flight = {SLOTS}
[slots]
reserved = 4
"""

CRITICAL = 6
LATENCY = 0.5


@pytest.mark.parametrize(
    "waiting", [2_000, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_waiting_bulk_emails_do_not_delay_a_critical_one(
    start_system: StartSystem, vhost: VirtualHost, database: StoreDatabase, waiting: int
) -> None:
    system = start_system(config=CONFIG)
    system.provider.set_faults(latency=LATENCY)
    idle = [_send_critical(system, f"idle-{number}@example.com") for number in range(CRITICAL)]

    put_backlog(database, vhost, waiting, lane=Lane.BULK, recipient="bulk@example.com")
    wait_until(lambda: system.provider.summary()["in_flight"] >= SLOTS - 4, within=30, what="bulk is busy")

    busy = [_send_critical(system, f"busy-{number}@example.com") for number in range(CRITICAL)]
    submissions = system.provider.submissions()
    overtaken = [_started_between(submissions, sent_at, arrived_at) for sent_at, arrived_at in busy]

    print(
        f"/send to provider, idle: median {_median_ms(idle):.0f} ms; with {waiting} bulk emails waiting: "
        f"median {_median_ms(busy):.0f} ms; bulk submissions started meanwhile: {overtaken}"
    )
    assert vhost.depth("email.bulk") > waiting / 2, "the backlog was gone before the end"
    assert max(overtaken) <= SLOTS


def test_under_a_transactional_overload_bulk_keeps_its_weight(
    start_system: StartSystem, vhost: VirtualHost
) -> None:
    # 12 shared slots, weights 3 and 1: nine transactional calls to three bulk ones.
    weights = "[lanes.transactional]\nweight = 3\n[lanes.bulk]\nweight = 1\n"
    system = start_system(config=CONFIG + weights)
    system.consumers[0].stop(within=30)
    system.provider.set_faults(latency=1.0)  # long beside the way of a message, so that no lane runs dry
    bodies = [email(lane=lane, recipient=f"{lane}@example.com") for lane in ("transactional", "bulk")]
    system.api.send_many(bodies * 400)
    wait_until(
        lambda: vhost.depth("email.bulk") == 400 and vhost.depth("email.transactional") == 400,
        within=60,
        what="both lanes are full",
    )
    system.start()
    # The first slots all go to the lane whose messages happen to come first.
    wait_until(lambda: system.provider.received() > SLOTS + 180, within=60, what="many were submitted")

    some = [submission["recipient"] for submission in system.provider.submissions()[SLOTS : SLOTS + 180]]
    bulk = some.count("bulk@example.com")
    print(f"of {len(some)} submissions {bulk} were bulk; its weight is a quarter")
    assert 0.8 * 45 <= bulk <= 1.2 * 45


def _send_critical(system: System, recipient: str) -> tuple[float, float]:
    """When it was sent, and when it arrived at the provider (epoch seconds)."""
    sent_at = time.time()
    request_id = system.api.send(lane="critical", recipient=recipient)
    system.api.wait_for_status(request_id, "sent", within=60)
    [submission] = system.provider.submissions_of(request_id)
    return sent_at, submission["received_at"]


def _started_between(submissions: list[dict[str, Any]], sent_at: float, arrived_at: float) -> int:
    return sum(
        submission["recipient"] == "bulk@example.com" and sent_at < submission["received_at"] < arrived_at
        for submission in submissions
    )


def _median_ms(times: list[tuple[float, float]]) -> float:
    return statistics.median(arrived_at - sent_at for sent_at, arrived_at in times) * 1000
