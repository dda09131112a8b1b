"""Emails that are to be sent later: at their time and not before, in their order, once, whatever dies."""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from delivery.domain.lanes import Lane
from tests.e2e.conftest import Whole
from tests.e2e.mixed_emails import CONFIG, SLOTS, clear_away
from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.api import email
from tests.harness.backlog import put_scheduled
from tests.harness.deadline import wait_until
from tests.harness.failing_parts import failing_consumers, wait_until_killed_by
from tests.harness.failpoints import Failpoint, Fault
from tests.harness.owed import assert_nothing_waits_unowed
from topology import names

Document = dict[str, Any]

IN_A_GROUP = 150


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    return start_whole(config=CONFIG.replace("transactional", "bulk"))


@pytest.fixture(autouse=True)
def _from_rest(whole: Whole) -> None:
    whole.system.start()
    clear_away(whole)


def test_an_email_is_sent_at_its_time_and_not_before(whole: Whole) -> None:
    send_at = datetime.now(UTC) + timedelta(seconds=2)
    over_http = whole.system.api.send(send_at=send_at.isoformat(), lane="critical")
    service = AmqpClient(whole.vhost.service_url)
    body = email(send_at=send_at.isoformat(), message="over AMQP")
    service.publish(
        names.INGEST_EXCHANGE,
        "bulk.example",
        [Outgoing(body=body, message_id="later", user_id=whole.vhost.service)],
    )
    service.close()
    status = whole.system.api.status(over_http)
    assert (status["status"], status["detail"]) == ("processing", "scheduled")
    assert abs(datetime.fromisoformat(status["send_at"]) - send_at) < timedelta(milliseconds=1)

    submissions = _wait_until_submitted(whole, 2)
    assert over_http in {submission["request_id"] for submission in submissions}
    assert min(submission["received_at"] for submission in submissions) >= send_at.timestamp() - 0.001


def test_a_time_that_has_passed_means_at_once(whole: Whole) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    request_id = whole.system.api.send(send_at=past.isoformat())
    assert whole.system.api.wait_for_detail(request_id, "delivered")["attempts"] == 1


def test_what_is_due_at_once_goes_out_in_the_order_of_its_times(whole: Whole) -> None:
    whole.system.consumers[0].kill()
    now = datetime.now(UTC)
    groups = [
        put_scheduled(
            whole.database,
            IN_A_GROUP,
            lane=Lane.BULK,
            recipient="ann@example.com",
            send_at=now - timedelta(seconds=seconds_ago),
        )
        for seconds_ago in (1, 3, 2)
    ]
    not_yet = put_scheduled(
        whole.database,
        5,
        lane=Lane.BULK,
        recipient="ann@example.com",
        send_at=now + timedelta(days=1),
    )
    whole.system.start()
    submissions = _wait_until_submitted(whole, 3 * IN_A_GROUP)
    place = {submission["request_id"]: place for place, submission in enumerate(submissions)}
    last, first, second = ([place[email_id] for email_id in group] for group in groups)
    # What is in the slots at the same moment has no order.
    assert max(first) < min(second) + SLOTS
    assert max(second) < min(last) + SLOTS
    assert not set(not_yet) & set(place)
    whole.system.provider.assert_accepted_once(place)


@pytest.mark.parametrize(
    "failpoint",
    [
        Failpoint(fault=Fault.KILL_AFTER, part="scheduled", method="queue", nth=2),
        Failpoint(fault=Fault.KILL_AFTER, part="publisher", method="publish", only="bulk", nth=2),
    ],
    ids=str,
)
def test_what_killed_consumers_were_queueing_is_sent_once(whole: Whole, failpoint: Failpoint) -> None:
    whole.system.consumers[0].kill()
    due = put_scheduled(
        whole.database,
        IN_A_GROUP,
        lane=Lane.BULK,
        recipient="ann@example.com",
        send_at=datetime.now(UTC) - timedelta(seconds=1),
    )
    with failing_consumers(whole.system, failpoint) as consumers:
        wait_until_killed_by(failpoint, consumers)
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    whole.system.start()
    emails = _wait_until_ended(whole, due)
    unconfirmed = [found for found in emails if found["state"] == "unconfirmed"]
    assert len(unconfirmed) <= SLOTS
    _assert_accepted_at_most_once(whole, emails)


def _wait_until_submitted(whole: Whole, count: int) -> list[Document]:
    def all_are() -> list[Document]:
        submissions = whole.system.provider.submissions()
        assert len(submissions) >= count, f"{len(submissions)} of {count}"
        return submissions

    return wait_until(all_are, within=60, what=f"{count} emails are submitted")


def _wait_until_ended(whole: Whole, email_ids: list[str]) -> list[Document]:
    def all_have() -> list[Document]:
        emails = list(whole.database["emails"].find({"_id": {"$in": email_ids}}))
        states = Counter(found["state"] for found in emails)
        assert set(states) <= {"delivered", "unconfirmed"}, str(states)
        return emails

    # What a killed process was sending ends when its lease does.
    return wait_until(all_have, within=120, what="every email has ended")


def _assert_accepted_at_most_once(whole: Whole, emails: list[Document]) -> None:
    calls: dict[str, int] = defaultdict(int)
    for submission in whole.system.provider.submissions():
        calls[submission["request_id"]] += 1
    assert set(calls.values()) == {1}
    missing = {found["_id"] for found in emails if found["state"] == "delivered"} - calls.keys()
    assert not missing
