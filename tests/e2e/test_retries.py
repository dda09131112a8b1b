"""What the provider refuses for now is sent again by its lane's schedule; what it refuses for good is not."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import chain, pairwise
from typing import Any

import pytest

from tests.e2e.conftest import BREAKER_STAYS_CLOSED, Whole
from tests.harness.api import email
from tests.harness.broker import BrokerServer, VirtualHost
from tests.harness.deadline import wait_for_value, wait_until
from tests.harness.store import StoreDatabase
from tests.harness.system import System

LANES = ("critical", "transactional", "standard", "bulk")
SLOTS = 2
RETRY_AFTER = 2

# Two attempts, so that more than one failure that spends an attempt ends in death.
CONFIG = """
[lanes.transactional]
retry = ["1s"]
[lanes.standard]
retry = ["1s", "1s", "1s", "1s", "1s", "2s"]
[lanes.bulk]
retry = ["1s"]
max_wait = "3s"
"""


def every_lane(retry: str) -> str:
    return "\n".join(f"[lanes.{lane}]\nretry = {retry}" for lane in LANES)


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    whole = start_whole(config=CONFIG)
    whole.system.provider.set_faults(retry_after=RETRY_AFTER)
    return whole


@pytest.fixture
def system(whole: Whole) -> System:
    return whole.system


# In which lane, and when


def test_a_retry_stays_in_its_lane_and_goes_ahead_of_fresh_mail(
    start_system: Callable[..., System], vhost: VirtualHost
) -> None:
    slots = f"[provider]\nmax_in_flight = {SLOTS}\n[slots]\nreserved = 1\n"
    system = start_system(config=slots + every_lane('["5s"]'))
    (consumers,) = system.consumers
    retried = {lane: system.api.send(lane=lane, recipient="fault+error.1@example.com") for lane in LANES}
    wait_for_value(lambda: vhost.depth("delay.5s"), len(LANES), within=60, what="all wait for their retry")
    consumers.kill()
    fresh = {lane: system.api.send_many([email(lane=lane, priority=3)] * 10) for lane in LANES}
    for lane in LANES:
        wait_for_value(
            partial(vhost.depth, f"email.{lane}"),
            11,
            within=60,
            what=f"the retry is back in {lane}, among fresh mail",
        )
        assert [message_of(letter) for letter in vhost.peek(f"email.{lane}", 1)] == [(retried[lane], 4)]

    already = system.provider.received()
    consumers.start()
    all_ids = [*retried.values(), *chain(*fresh.values())]
    system.api.wait_for_all(all_ids, "sent", within=120)
    arrived = [submission["request_id"] for submission in system.provider.submissions(since=already)]
    for lane in LANES:
        of_lane = [request_id for request_id in arrived if request_id in (*fresh[lane], retried[lane])]
        assert retried[lane] in of_lane[:SLOTS], f"{lane}: only what started beside it came before it"


def test_a_retry_survives_a_broker_that_restarts_while_it_waits(
    start_system: Callable[..., System], own_broker: Callable[[], BrokerServer], database: StoreDatabase
) -> None:
    broker = own_broker()
    with ExitStack() as stack:
        vhost = stack.enter_context(broker.vhost())
        system = start_system(config=BREAKER_STAYS_CLOSED + every_lane('["8s"]'), amqp_url=vhost.url)
        bodies = [
            email(lane=lane, recipient="fault+error.1@example.com") for lane in LANES for _ in range(10)
        ]
        request_ids = system.api.send_many(bodies)
        wait_for_value(lambda: vhost.depth("delay.8s"), len(bodies), within=60, what="all wait for a retry")
        wait_for_value(
            lambda: database["emails"].count_documents({"owed": {"$exists": True}}),
            0,
            within=60,
            what="nobody owes a message: only the broker has them",
        )
        (latest,) = database["emails"].find({}, {"due_at": 1}).sort("due_at", -1).limit(1)
        broker.stop()
        wait_until(
            lambda: time.time() > latest["due_at"].timestamp(), within=30, what="all are due, the broker down"
        )
        broker.start_again()
        system.api.wait_for_all(request_ids, "sent", within=120)
        system.provider.assert_accepted_once(request_ids)
        assert system.provider.received() == 2 * len(request_ids)


# What spends no attempt


def test_a_throttled_email_waits_as_told_and_spends_no_attempt(system: System) -> None:
    request_id = system.api.send(recipient="fault+429.2@example.com")
    answer = system.api.wait_for_status(request_id, "sent", within=60)
    assert answer["attempts"] == 1
    calls = system.provider.submissions_of(request_id)
    assert [call["answer_status"] for call in calls] == [429, 429, 200]
    for earlier, later in pairwise(calls):
        assert later["received_at"] - earlier["answered_at"] >= RETRY_AFTER


def test_a_refused_credential_spends_no_attempt_and_raises_the_alarm(system: System) -> None:
    request_id = system.api.send(recipient="fault+401.3@example.com")
    answer = system.api.wait_for_status(request_id, "sent", within=60)
    assert answer["attempts"] == 1
    assert len(system.provider.submissions_of(request_id)) == 4
    (consumers,) = system.consumers
    alarm = "ALARM provider refuses our credential or address detail=HTTP 401"
    assert consumers.log.read_text().count(alarm) == 1, "one for an outage, not one for a call"


def test_waiting_without_attempts_ends_at_the_lanes_max_wait(whole: Whole) -> None:
    request_id = whole.system.api.send(lane="bulk", recipient="fault+429@example.com")
    answer = whole.system.api.wait_for_detail(request_id, "dead", within=60)
    assert (answer["attempts"], answer["reason"]) == (0, "max_wait_exceeded")
    letter = wait_until(partial(letter_of, whole.vhost, request_id), within=30, what="it has a letter")
    assert letter["properties"]["headers"]["reason"] == "max_wait_exceeded"


# What is never sent again


@pytest.mark.parametrize("refusal", ["reject", "413", "422"])
def test_what_the_provider_refuses_for_good_is_never_retried(whole: Whole, refusal: str) -> None:
    system = whole.system
    request_id = system.api.send(recipient=f"fault+{refusal}@example.com")
    answer = system.api.wait_for_status(request_id, "failed")
    assert answer["detail"] == "rejected"
    pass_one_retry(system)
    assert len(system.provider.submissions_of(request_id)) == 1
    assert request_id not in [message_of(letter)[0] for letter in whole.vhost.peek("email.dead")]


def test_an_email_that_expires_between_its_attempts_is_sent_no_more(system: System) -> None:
    request_id = system.api.send(lane="standard", ttl=2, recipient="fault+error@example.com")
    answer = system.api.wait_for_status(request_id, "failed", within=60)
    assert answer["detail"] == "expired"
    called = len(system.provider.submissions_of(request_id))
    pass_one_retry(system)
    pass_one_retry(system)
    assert len(system.provider.submissions_of(request_id)) == called


def test_an_email_that_expires_before_its_turn_never_reaches_the_provider(
    start_system: Callable[..., System], database: StoreDatabase, vhost: VirtualHost
) -> None:
    system = start_system()
    (consumers,) = system.consumers
    consumers.stop(within=30)
    request_id = system.api.send(ttl=1)
    wait_for_value(lambda: vhost.depth("email.transactional"), 1, within=30, what="it is in its lane")
    stored = database["emails"].find_one({"_id": request_id})
    assert stored is not None
    wait_until(lambda: time.time() > stored["expires_at"].timestamp(), within=30, what="its time is over")
    consumers.start()
    assert system.api.wait_for_status(request_id, "failed", within=60)["detail"] == "expired"
    system.api.wait_for_status(system.api.send(), "sent", within=60)
    assert system.provider.submissions_of(request_id) == []


def pass_one_retry(system: System) -> None:
    """See another email through a retry: one of those before it would have come by now."""
    request_id = system.api.send(recipient="fault+error.1@example.com")
    system.api.wait_for_detail(request_id, "delivered", within=60)


def letter_of(vhost: VirtualHost, request_id: str) -> dict[str, Any]:
    """Its letter in email.dead, where others may lie, too; empty while there is none."""
    letters = {message_of(letter)[0]: letter for letter in vhost.peek("email.dead")}
    return letters.get(request_id, {})


def message_of(letter: dict[str, Any]) -> tuple[str, int]:
    """Its email and its AMQP priority."""
    return json.loads(letter["payload"])["id"], letter["properties"]["priority"]
