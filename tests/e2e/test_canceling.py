"""Emails are taken back while workers take them: each is canceled or sent, never both."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Whole
from tests.harness.api import email
from tests.harness.deadline import wait_until

EMAILS = 240
CONFIG = """
[provider]
max_in_flight = 8
[slots]
reserved = 1
[loops]
relay_interval = "500ms"
"""


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    started: Whole = start_whole(config=CONFIG, consumers=2)
    started.system.provider.set_faults(latency=0.5)
    return started


def cancel_all(whole: Whole, request_ids: list[str], *, connections: int = 8) -> dict[str, int]:
    """The status of each answer."""

    def cancel(share: list[str]) -> dict[str, int]:
        with requests.Session() as session:
            session.trust_env = False
            url = f"{whole.system.api.url}/api/v1/emails"
            return {
                request_id: session.post(f"{url}/{request_id}/cancel", timeout=30).status_code
                for request_id in share
            }

    with ThreadPoolExecutor(connections) as threads:
        shares = [request_ids[start::connections] for start in range(connections)]
        return {one: status for answers in threads.map(cancel, shares) for one, status in answers.items()}


def assert_each_is_canceled_or_sent(whole: Whole, answers: dict[str, int]) -> None:
    assert set(answers.values()) <= {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}
    canceled = {one for one, status in answers.items() if status == HTTPStatus.OK}
    others = answers.keys() - canceled
    whole.system.api.wait_for_all(others, "sent", within=60)
    whole.system.provider.assert_accepted_once(others)
    assert not canceled & set(whole.system.provider.summary()["accepted_ids"])
    found: list[dict[str, Any]] = list(whole.database["emails"].find({"_id": {"$in": sorted(canceled)}}))
    assert {each["state"] for each in found} <= {"canceled"}
    assert not [each for each in found if each["calls"] or "owed" in each or "published" in each]
    lanes = [queue for queue in whole.vhost.queues() if queue.startswith("email.")]
    wait_until(
        lambda: not sum(whole.vhost.depth(queue) for queue in lanes), within=30, what="no message is left"
    )
    print(f"{len(canceled)} of {len(answers)} canceled: {Counter(answers.values())}")


def test_what_is_canceled_while_workers_drain_is_never_sent(whole: Whole) -> None:
    request_ids = whole.system.api.send_many([email()] * EMAILS, connections=8)
    answers = cancel_all(whole, request_ids[::-1])
    assert len(set(answers.values())) == 2, "some won and some lost"
    assert_each_is_canceled_or_sent(whole, answers)


def test_what_is_canceled_while_it_becomes_due_is_never_sent(whole: Whole) -> None:
    send_at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    request_ids = whole.system.api.send_many([email(send_at=send_at)] * EMAILS, connections=8)
    before = cancel_all(whole, request_ids[: EMAILS // 4])
    assert set(before.values()) == {HTTPStatus.OK}
    rest = request_ids[EMAILS // 4 :]
    wait_until(
        lambda: whole.system.api.status(rest[0])["detail"] != "scheduled", within=30, what="they are due"
    )
    assert_each_is_canceled_or_sent(whole, {**before, **cancel_all(whole, rest[::-1])})
