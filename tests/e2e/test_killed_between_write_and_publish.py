"""A process is killed between a write and the message that the write requires, at each such place.

It kills itself there while a few dozen emails flow: sent and refused by the provider, retried, dead,
ingested, rejected, reported on. What it leaves is looked at while no consumer runs; then others take over.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Whole
from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.api import email
from tests.harness.deadline import wait_until
from tests.harness.failing_parts import failing_api, failing_consumers, wait_until_killed_by
from tests.harness.failpoints import Failpoint, Fault
from tests.harness.owed import assert_nothing_waits_unowed, letters
from topology import names

SLOTS = 8

CONFIG = f"""
[provider]
max_in_flight = {SLOTS}
total_timeout = "2s"
[slots]
reserved = 1
[claims]
lease = "2500ms"
margin = "100ms"
[loops]
relay_interval = "500ms"
relay_grace = "1s"
reconcile_interval = "1s"
[lanes.transactional]
retry = ["1s"]
"""

# What a claim takes is more than a lease of a millisecond over the call's needs: nearly all are given back.
GIVES_BACK = CONFIG.replace('lease = "2500ms"', 'lease = "2101ms"')

ENDS = {"delivered", "dead", "unconfirmed"}


def before(part: str, method: str, only: str | None = None, nth: int = 1) -> Failpoint:
    return Failpoint(fault=Fault.KILL_BEFORE, part=part, method=method, only=only, nth=nth)


def after(part: str, method: str, only: str | None = None, nth: int = 1) -> Failpoint:
    return Failpoint(fault=Fault.KILL_AFTER, part=part, method=method, only=only, nth=nth)


# In the order in which an email meets them. What stands between two neighbours is one place to die in.
CONSUMERS_DIE = [
    after("claims", "claim", nth=2),
    after("provider", "submit", only="accepted", nth=3),
    after("provider", "submit", only="unavailable"),
    after("claims", "settle", only="submitted"),
    after("claims", "settle", only="delay"),
    before("publisher", "publish", only="delay.1s"),
    after("publisher", "publish", only="delay.1s"),
    after("emails", "clear_owed", only="delay"),
    before("publisher", "publish", only="dead"),
    after("publisher", "publish", only="dead"),
    # a provider event
    after("reported", "apply"),
    after("events", "record_effects"),
    # an email that a service publishes
    after("emails", "insert"),
    before("publisher", "publish", only="rejected"),
    after("publisher", "publish", only="rejected"),
]

REVIVERS_DIE = [after("emails", "revive"), after("publisher", "publish", only="transactional")]

GIVERS_DIE = [before("claims", "give_back"), after("claims", "give_back")]

API_DIES = [
    before("emails", "insert", nth=3),
    after("emails", "insert", nth=3),
    before("publisher", "publish", only="transactional", nth=3),
    after("publisher", "publish", only="transactional", nth=3),
    after("emails", "clear_owed", nth=3),
    # a provider event
    after("events", "insert"),
    before("publisher", "publish", only="provider_event"),
    after("publisher", "publish", only="provider_event"),
]


@dataclass(frozen=True, slots=True)
class Flow:
    """A few dozen emails that belong together by their text. rejected: message_ids that must be refused."""

    text: str
    accepted: set[str]
    ingested: int
    rejected: set[str]


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    return start_whole(config=CONFIG, simulator_options=["--webhook-retry-delays", "1,1,2,4,8"])


@pytest.fixture(autouse=True)
def _from_rest(whole: Whole, request: pytest.FixtureRequest) -> None:
    """Every part up but the consumers; nothing in the store, in the queues and in the provider's log."""
    whole.system.start()
    whole.system.consumers[0].kill()
    whole.system.provider.forget()
    for collection in ("emails", "provider_events"):
        whole.database[collection].delete_many({})
    for queue in whole.vhost.queues():
        whole.vhost.amqp.purge(queue)
    request.node.addfinalizer(lambda: print(whole.system.logs()))


@pytest.fixture
def service(whole: Whole) -> Iterator[AmqpClient]:
    client = AmqpClient(whole.vhost.service_url)
    yield client
    client.close()


@pytest.mark.parametrize("failpoint", CONSUMERS_DIE, ids=str)
def test_what_killed_consumers_left_is_finished(
    whole: Whole, service: AmqpClient, failpoint: Failpoint
) -> None:
    with failing_consumers(whole.system, failpoint) as consumers:
        flow = start_flow(whole, service, text=str(failpoint))
        wait_until_killed_by(failpoint, consumers)
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    assert_others_finish(whole, flow)


@pytest.mark.parametrize("failpoint", REVIVERS_DIE, ids=str)
def test_letters_that_killed_consumers_were_reviving_are_revived(
    whole: Whole, service: AmqpClient, failpoint: Failpoint
) -> None:
    with failing_consumers(whole.system, failpoint) as consumers:
        # None by AMQP: their messages would have the same key as those of the revived.
        flow = start_flow(whole, service, text=str(failpoint), ingested=0)
        wait_until(lambda: letters(whole.vhost), within=60, what="there is a letter")
        whole.vhost.move_messages(names.DEAD_QUEUE, names.REQUEUE_QUEUE)
        wait_until_killed_by(failpoint, consumers)
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    assert_others_finish(whole, flow)


@pytest.mark.parametrize("failpoint", GIVERS_DIE, ids=str)
def test_claims_that_killed_consumers_were_giving_back_are_taken_by_others(
    whole: Whole, service: AmqpClient, tmp_path: Path, failpoint: Failpoint
) -> None:
    config = tmp_path / "gives-back.toml"
    config.write_text(GIVES_BACK)
    with failing_consumers(whole.system, failpoint, config=config) as consumers:
        flow = start_flow(whole, service, text=str(failpoint))
        wait_until_killed_by(failpoint, consumers)
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    assert_others_finish(whole, flow)


@pytest.mark.parametrize("failpoint", API_DIES, ids=str)
def test_what_a_killed_api_accepted_is_sent(whole: Whole, failpoint: Failpoint) -> None:
    whole.system.api_process.kill()
    with failing_api(whole.system, failpoint) as api:
        if failpoint.part == "events" or failpoint.only == "provider_event":
            whole.system.consumers[0].start()
        flow = Flow(
            str(failpoint), accepted=send_until_killed(whole, str(failpoint)), ingested=0, rejected=set()
        )
        wait_until_killed_by(failpoint, api)
    whole.system.consumers[0].kill()
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    assert_others_finish(whole, flow)


def start_flow(whole: Whole, service: AmqpClient, *, text: str, ingested: int = 8) -> Flow:
    """One in four is refused once, one in four until it is dead (and would be sent if it were revived)."""
    good = [ingest(whole, f"{text} {number}", message=text) for number in range(ingested)]
    bad = [ingest(whole, f"{text} bad {number}", message=text, recipient="") for number in range(3)]
    service.publish(names.INGEST_EXCHANGE, "transactional.example", [*good, *bad])
    tags = ["fault@", "fault+error.1@", "ann@", "fault+error.2@"]
    bodies = [email(recipient=tags[number % 4] + "example.com", message=text) for number in range(24)]
    accepted = whole.system.api.send_many(bodies, connections=4)
    return Flow(text, set(accepted), len(good), {message.message_id or "" for message in bad})


def ingest(whole: Whole, message_id: str, **fields: object) -> Outgoing:
    return Outgoing(body=email(**fields), message_id=message_id, user_id=whole.vhost.service)


def send_until_killed(whole: Whole, text: str) -> set[str]:
    """Send from several connections until the API is gone; returns what it accepted."""

    def send(number: int) -> list[str]:
        accepted: list[str] = []
        with requests.Session() as session:
            session.trust_env = False
            for _ in range(1000):
                try:
                    answer = session.post(
                        f"{whole.system.api.url}/send", json=email(message=text), timeout=30
                    )
                except requests.ConnectionError:
                    return accepted
                if answer.status_code == HTTPStatus.ACCEPTED:
                    accepted.append(answer.json()["request_id"])
        return accepted

    with ThreadPoolExecutor(4) as threads:
        return {request_id for accepted in threads.map(send, range(4)) for request_id in accepted}


def assert_others_finish(whole: Whole, flow: Flow) -> None:
    """Consumers without a failpoint bring everything to its end, and nothing is submitted in vain."""
    whole.system.start()
    emails = wait_until_ended(whole, flow)
    dead = {found["_id"] for found in emails if found["state"] == "dead"}
    assert {email_id for email_id, _ in letters(whole.vhost)} == dead
    if dead:
        whole.vhost.move_messages(names.DEAD_QUEUE, names.REQUEUE_QUEUE)
        emails = wait_until_ended(whole, flow, without="dead")
    assert_submitted_as_decided(whole, emails)
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    assert not whole.database["provider_events"].count_documents({"pending": True})
    assert {found["_id"] for found in emails} >= flow.accepted
    states = Counter(found["state"] for found in emails)
    print(f"{flow.text}: {len(emails)} emails, {dict(states)}, {len(dead)} of them were dead")


def wait_until_ended(whole: Whole, flow: Flow, *, without: str = "") -> list[dict[str, Any]]:
    def all_ended() -> list[dict[str, Any]]:
        emails = list(whole.database["emails"].find({"content.message": flow.text}))
        assert len(emails) >= len(flow.accepted) + flow.ingested, f"{len(emails)} emails"
        states = Counter(found["state"] for found in emails)
        assert not set(states) - ENDS - {without}.intersection(states), str(states)
        assert without not in states, str(states)
        owing = sum("owed" in found for found in emails)
        assert not owing, f"{owing} owe a message"
        refused = {
            message["properties"]["headers"]["message_id"] for message in whole.vhost.peek("email.rejected")
        }
        assert flow.rejected <= refused
        return emails

    return wait_until(all_ended, within=90, what=f"every email of {flow.text} has ended")


def assert_submitted_as_decided(whole: Whole, emails: list[dict[str, Any]]) -> None:
    """Submitted again only after a definite no; unconfirmed only what was in the killed process's hands."""
    submissions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for submission in whole.system.provider.submissions():
        submissions[submission["request_id"]].append(submission)
    unconfirmed = [found for found in emails if found["state"] == "unconfirmed"]
    assert len(unconfirmed) <= SLOTS
    assert {found["last_error"] for found in unconfirmed} <= {"lease ran out"}
    for found in emails:
        ours = submissions[found["_id"]]
        assert [submission["answer_status"] for submission in ours[:-1]] == [500] * (len(ours) - 1), ours
        assert sum(submission["accepted_at"] is not None for submission in ours) <= 1, ours
        begun = {len(ours), len(ours) + 1} if found["state"] == "unconfirmed" else {len(ours)}
        assert found["calls"] in begun, (found["state"], found["calls"], ours)
