"""Whoever subscribes to ``email.events`` hears what happens to an email, in whichever way it comes about."""

import json
import time
from collections import defaultdict
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Whole
from tests.harness.api import email
from tests.harness.deadline import wait_for_value, wait_until

CONFIG = """
[provider]
connect_timeout = "1s"
total_timeout = "2s"
[claims]
lease = "3s"
margin = "500ms"
[loops]
reconcile_interval = "500ms"
[lanes.transactional]
retry = []
"""

QUEUE = "listener"


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    started: Whole = start_whole(config=CONFIG, consumers=2)
    started.vhost.amqp.declare_queue(QUEUE)
    started.vhost.amqp.bind(QUEUE, "email.events", "default.#")
    return started


class Listener:
    """What a subscriber heard: by email, in its order.

    "submitted" is left out: where the report is applied before the answer is written, it alone is told.
    """

    def __init__(self, whole: Whole) -> None:
        self._amqp = whole.vhost.amqp
        self._heard: defaultdict[str, list[str]] = defaultdict(list)

    def of(self, request_id: str) -> list[str]:
        while (message := self._amqp.take(QUEUE)) is not None:
            told = json.loads(message.body)
            assert message.routing_key == f"default.{told['lane']}.{told['event']}"
            if told["event"] != "submitted":
                self._heard[told["email_id"]].append(told["event"])
        return self._heard[request_id]


@pytest.fixture(scope="module")
def listener(whole: Whole) -> Listener:
    return Listener(whole)


def hears(listener: Listener, request_id: str, *events: str) -> None:
    wait_for_value(
        lambda: listener.of(request_id), list(events), within=60, what=f"{events} of {request_id} were told"
    )


def test_a_death_a_requeue_and_a_delivery(whole: Whole, listener: Listener) -> None:
    request_id = whole.system.api.send(recipient="fault+error.1@example.com")
    hears(listener, request_id, "dead")
    wait_for_value(lambda: whole.vhost.depth("email.dead"), 1, within=60, what="it has its letter")
    whole.vhost.move_messages("email.dead", "email.requeue")
    hears(listener, request_id, "dead", "queued", "delivered")


def test_a_letter_that_is_moved_into_its_lane(whole: Whole, listener: Listener) -> None:
    request_id = whole.system.api.send(recipient="fault+error.1@example.com")
    wait_for_value(lambda: whole.vhost.depth("email.dead"), 1, within=60, what="it has its letter")
    whole.vhost.move_messages("email.dead", "email.transactional")
    hears(listener, request_id, "dead", "queued", "delivered")


def test_a_consumer_that_died_during_its_calls(whole: Whole, listener: Listener) -> None:
    """The other one tells of them."""
    body = email(recipient="fault+slow.1.5+webhook-lost@example.com")
    request_ids = whole.system.api.send_many([body] * 20)
    wait_until(lambda: whole.system.provider.count("in_flight") >= 4, within=60, what="both have calls out")
    whole.system.consumers[0].kill()
    states = whole.database["emails"]
    settled = {"state": {"$in": ["submitted", "unconfirmed"]}, "_id": {"$in": request_ids}}
    wait_for_value(
        lambda: states.count_documents(settled), len(request_ids), within=120, what="no call is out"
    )
    ran_out = [found["_id"] for found in states.find({"last_error": "lease ran out"})]
    assert ran_out
    for request_id in ran_out:
        hears(listener, request_id, "unconfirmed")


def test_an_email_whose_time_is_over_before_its_turn(whole: Whole, listener: Listener) -> None:
    for part in whole.system.consumers:
        part.stop(within=30)
    request_id = whole.system.api.send(ttl=1)
    wait_for_value(lambda: whole.vhost.depth("email.transactional"), 1, within=30, what="it is in its lane")
    stored = whole.database["emails"].find_one({"_id": request_id})
    assert stored is not None
    wait_until(lambda: time.time() > stored["expires_at"].timestamp(), within=30, what="its time is over")
    whole.system.start()
    hears(listener, request_id, "expired")
