"""A few dozen emails that take every path: sent, refused once, dead, ingested, rejected, reported on."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from tests.e2e.conftest import Whole
from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.api import email
from tests.harness.deadline import wait_until
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

_TAGS = ("fault@", "fault+error.1@", "ann@", "fault+error.2@")
"""The third refusal would be one more than the lane's attempts; once revived it is sent."""

_ENDS = {"delivered", "dead", "unconfirmed"}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Flow:
    """Emails that belong together by their text.

    accepted: what /send accepted; ingested: how many more come by AMQP; rejected: the message_ids that must
    be refused.
    """

    text: str
    accepted: set[str]
    ingested: int = 0
    rejected: frozenset[str] = frozenset()


def start_flow(whole: Whole, service: AmqpClient, *, text: str, ingested: int = 8) -> Flow:
    good = [_ingest(whole, f"{text} {number}", message=text) for number in range(ingested)]
    bad = [_ingest(whole, f"{text} bad {number}", message=text, recipient="") for number in range(3)]
    service.publish(names.INGEST_EXCHANGE, "transactional.example", [*good, *bad])
    bodies = [email(recipient=_TAGS[number % 4] + "example.com", message=text) for number in range(24)]
    accepted = whole.system.api.send_many(bodies, connections=4)
    return Flow(text, set(accepted), ingested, frozenset(message.message_id or "" for message in bad))


def bring_to_their_end(whole: Whole, flow: Flow) -> list[Document]:
    """Wait until all have ended, revive the dead, wait again; returns the documents.

    In the end each is delivered, or unconfirmed, which is for the caller to judge. On the way: every dead
    email has its letter; nothing waits unowed; nothing is submitted again but after a definite no.
    """
    emails = _wait_until_ended(whole, flow)
    dead = {found["_id"] for found in emails if found["state"] == "dead"}
    assert {email_id for email_id, _ in letters(whole.vhost)} == dead
    if dead:
        whole.vhost.move_messages(names.DEAD_QUEUE, names.REQUEUE_QUEUE)
        emails = _wait_until_ended(whole, flow, none_is="dead")
    assert {found["_id"] for found in emails} >= flow.accepted
    assert not whole.database["provider_events"].count_documents({"pending": True})
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    _assert_submitted_as_decided(whole, emails)
    states = Counter(found["state"] for found in emails)
    print(f"{flow.text}: {len(emails)} emails, {dict(states)}; {len(dead)} of them were dead")
    return emails


def clear_away(whole: Whole) -> None:
    """Nothing in the store, in the queues and in the provider's log."""
    whole.system.provider.forget()
    for collection in ("emails", "provider_events"):
        whole.database[collection].delete_many({})
    for queue in whole.vhost.queues():
        whole.vhost.amqp.purge(queue)


def _ingest(whole: Whole, message_id: str, **fields: object) -> Outgoing:
    return Outgoing(body=email(**fields), message_id=message_id, user_id=whole.vhost.service)


def _wait_until_ended(whole: Whole, flow: Flow, *, none_is: str = "") -> list[Document]:
    def all_have_ended() -> list[Document]:
        emails = list(whole.database["emails"].find({"content.message": flow.text}))
        assert len(emails) >= len(flow.accepted) + flow.ingested, f"{len(emails)} emails"
        states = Counter(found["state"] for found in emails)
        assert set(states) <= _ENDS - {none_is}, str(states)
        owing = sum("owed" in found for found in emails)
        assert not owing, f"{owing} owe a message"
        refused = whole.vhost.peek(names.REJECTED_QUEUE)
        assert flow.rejected <= {message["properties"]["headers"]["message_id"] for message in refused}
        assert not whole.database["provider_events"].count_documents({"pending": True}), "events are pending"
        return emails

    return wait_until(all_have_ended, within=90, what=f"every email of {flow.text} has ended")


def _assert_submitted_as_decided(whole: Whole, emails: list[Document]) -> None:
    submissions: dict[str, list[Document]] = defaultdict(list)
    for submission in whole.system.provider.submissions():
        submissions[submission["request_id"]].append(submission)
    for found in emails:
        ours = submissions[found["_id"]]
        assert [submission["answer_status"] for submission in ours[:-1]] == [500] * (len(ours) - 1), ours
        assert sum(submission["accepted_at"] is not None for submission in ours) <= 1, ours
        # A process may die after a claim and before the call: then it is unconfirmed without a call.
        calls = {len(ours), len(ours) + 1} if found["state"] == "unconfirmed" else {len(ours)}
        assert found["calls"] in calls, (found["state"], found["calls"], ours)
