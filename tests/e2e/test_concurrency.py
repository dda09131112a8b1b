"""Calls at once follow what the provider takes, between a floor and a ceiling; critical's part stays free."""

import heapq
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import requests

from tests.harness.api import email
from tests.harness.deadline import wait_until
from tests.harness.store import StoreDatabase
from tests.harness.system import System

StartSystem = Callable[..., System]
Submission = dict[str, Any]

FLOOR, CEILING, CRITICALS_PART = 4, 32, 4
EMAILS = 300
HELD = 12
"""Seconds that a call takes which must not end during a test; below provider.total_timeout."""

RETRY = 'retry = ["1s", "1s", "1s", "1s", "1s"]'
CONFIG = f"""
[provider]
max_in_flight = {CEILING}
[loops]
relay_grace = "20s"
[lanes.critical]
{RETRY}
[lanes.transactional]
{RETRY}
[lanes.bulk]
{RETRY}
"""
# The relay shall not publish the backlog a second time while it is being published.


@pytest.mark.long
def test_calls_settle_at_what_the_provider_takes_and_no_429_spends_an_attempt(
    start_system: StartSystem, database: StoreDatabase
) -> None:
    system = start_system(config=CONFIG)
    usual, refused = send_to_capacity(system, database, capacity=10)
    assert 5 <= usual <= 10
    assert refused < EMAILS * 0.1


@pytest.mark.long
def test_two_processes_share_what_the_provider_takes(
    start_system: StartSystem, database: StoreDatabase
) -> None:
    system = start_system(config=CONFIG, consumers=2)
    usual, refused = send_to_capacity(system, database, capacity=16)
    assert 8 <= usual <= 16
    assert refused < EMAILS * 0.1


def test_a_provider_that_gets_slower_under_load_gets_fewer_calls_and_critical_goes_through_at_once(
    start_system: StartSystem,
) -> None:
    """Beyond four calls at once each takes as much longer, so that 32 take four seconds each."""
    system = start_system(config=CONFIG)
    system.provider.set_faults(latency=0.5)
    system.api.send_many([email(lane="bulk", recipient="bulk@example.com")] * 1500)
    wait_until(lambda: calls(system)["limit"] == CEILING, within=60, what="the limit is at its ceiling")

    system.provider.set_faults(capacity={"calls": 4, "beyond": "slow"})
    wait_until(lambda: calls(system)["limit"] <= CEILING // 2, within=120, what="the limit has fallen")
    critical = [send_critical(system, number) for number in range(8)]
    slowest = max(arrived_at - sent_at for sent_at, arrived_at in critical)
    limits = calls(system)

    submissions = system.provider.submissions()
    overtaken = [started_between(submissions, sent_at, arrived_at) for sent_at, arrived_at in critical]
    print(
        f"a provider that slows beyond 4 calls: {limits}; /send to provider of critical emails: "
        f"median {statistics.median(b - a for a, b in critical):.2f} s, at most {slowest:.2f} s; "
        f"bulk submissions begun meanwhile: {overtaken}"
    )
    assert max(overtaken) <= CEILING // 2
    assert limits["limit"] < CEILING


def test_a_burst_of_critical_emails_goes_out_at_once_though_a_slow_provider_gets_few_calls(
    start_system: StartSystem,
) -> None:
    """While no call ends: had critical only its share of the few, the burst would wait for one that does."""
    system = start_system(config=CONFIG)
    system.provider.set_faults(latency=0.5)
    system.api.send_many([email(lane="bulk")] * 1500)
    wait_until(lambda: calls(system)["limit"] == CEILING, within=60, what="the limit is at its ceiling")
    system.provider.set_faults(latency=2.5)
    wait_until(lambda: calls(system)["limit"] == FLOOR, within=60, what="few calls may be out")
    system.provider.set_faults(latency=HELD)
    held_since = time.time()
    wait_until(lambda: all_are_held(system, held_since), within=60, what="no call will end for long")

    ended = count_answered(system)
    burst = set(system.api.send_many([email(lane="critical")] * CRITICALS_PART))
    wait_until(
        lambda: burst <= {one["request_id"] for one in unanswered(system)}, within=60, what="the burst is out"
    )
    assert count_answered(system) == ended


def all_are_held(system: System, since: float) -> bool:
    """Whether as many calls are out as may be, and all began since then."""
    out = unanswered(system)
    return all(one["received_at"] >= since for one in out) and len(out) >= calls(system)["limit"] - 1


def unanswered(system: System) -> list[Submission]:
    return [one for one in system.provider.submissions() if one["answered_at"] is None]


def count_answered(system: System) -> int:
    return sum(one["answered_at"] is not None for one in system.provider.submissions())


def test_a_provider_that_is_slow_by_nature_gets_the_ceiling(start_system: StartSystem) -> None:
    system = start_system(config=CONFIG)
    system.provider.set_faults(latency=2)
    system.api.send_many([email(lane="bulk")] * 400)
    wait_until(lambda: calls(system)["limit"] == CEILING, within=90, what="the limit is at its ceiling")
    wait_until(lambda: system.provider.count("in_flight") >= CEILING - 4, within=30, what="so are the calls")
    ramp = seconds_to(CEILING - 4, system.provider.submissions())
    print(
        f"a provider that takes 2 s for everything: {CEILING - 4} calls at once {ramp:.1f} s after the first"
    )


def send_to_capacity(system: System, database: StoreDatabase, *, capacity: int) -> tuple[float, int]:
    """Send many emails to a provider that answers 429 beyond a capacity; all are sent, once, in one attempt.

    Returns how many calls were usually being served at once, and how many were answered 429.
    """
    system.provider.set_faults(latency=1, capacity={"calls": capacity})
    request_ids = system.api.send_many([email(lane="transactional")] * EMAILS)
    emails = database["emails"]
    wait_until(
        lambda: emails.count_documents({"state": "delivered", "attempts": 1}) == EMAILS,
        within=240,
        what="all are sent, with one attempt each",
    )
    system.provider.assert_accepted_once(request_ids)
    answers = Counter(submission["answer"] for submission in system.provider.submissions())
    served = [entry for entry in system.provider.submissions() if entry["answer"] == "accepted"]
    assert len(served) == EMAILS
    in_flight = at_once(served)
    usual = statistics.median(in_flight[EMAILS // 4 :])
    print(
        f"{len(system.consumers)} consumers, a provider that takes {capacity} at once: {dict(answers)}, "
        f"429s per 1000 emails: {1000 * answers['over-capacity'] / EMAILS:.0f}; calls at once: median "
        f"{usual}, at most {max(in_flight)}; the ceiling of each process is {CEILING}"
    )
    return usual, answers["over-capacity"]


def calls(system: System) -> dict[str, int]:
    """What the consumer process says of its calls to the provider: limit, ceiling, in_flight."""
    ready = requests.get(system.consumers_health[0], timeout=30)
    said: dict[str, int] = ready.json()["calls"]
    assert said["in_flight"] <= said["ceiling"] == CEILING
    assert FLOOR <= said["limit"] <= CEILING
    return said


def at_once(submissions: Sequence[Submission]) -> list[int]:
    """For each submission, in order of arrival, how many were at the provider with it."""
    counts: list[int] = []
    ends: list[float] = []
    for submission in submissions:
        while ends and ends[0] <= submission["received_at"]:
            heapq.heappop(ends)
        heapq.heappush(ends, submission["answered_at"] or submission["received_at"])
        counts.append(len(ends))
    return counts


def seconds_to(count: int, submissions: Sequence[Submission]) -> float:
    """How long after the first submission so many were out at once."""
    out = [{**entry, "answered_at": entry["answered_at"] or math.inf} for entry in submissions]
    reached = next(index for index, at in enumerate(at_once(out)) if at >= count)
    took: float = out[reached]["received_at"] - out[0]["received_at"]
    return took


def send_critical(system: System, number: int) -> tuple[float, float]:
    """When it was sent, and when it arrived at the provider (epoch seconds)."""
    sent_at = time.time()
    request_id = system.api.send(lane="critical", recipient=f"critical-{number}@example.com")
    system.api.wait_for_status(request_id, "sent", within=60)
    [submission] = system.provider.submissions_of(request_id)
    return sent_at, submission["received_at"]


def started_between(submissions: Sequence[Submission], sent_at: float, arrived_at: float) -> int:
    return sum(
        submission["recipient"] == "bulk@example.com" and sent_at < submission["received_at"] < arrived_at
        for submission in submissions
    )
