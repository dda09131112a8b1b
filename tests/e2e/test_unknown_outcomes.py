"""Calls after which nobody knows what the provider got: never resent, settled by what it reports later."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Whole
from tests.harness.api import email
from tests.harness.deadline import wait_until
from tests.harness.store import StoreDatabase
from tests.harness.system import System

# A blind resend would come after a second, long before the last webhook.
CONFIG = """
[provider]
min_in_flight = 32
connect_timeout = "1s"
total_timeout = "2s"
[claims]
lease = "4s"
margin = "500ms"
[loops]
reconcile_interval = "1s"
[lanes.transactional]
retry = ["1s", "1s", "1s", "1s", "1s", "1s"]
"""

ACCEPTED = {
    "a read timeout": "hang-accepted",
    "a reset after the request": "reset-after",
    "a 504 and acceptance later": "504-then-accept.2",
    "a 200 in somebody else's words": "garbage-200",
}
"""What the caller sees -> the simulator's tag. The email was accepted all the same."""

NEVER_ACCEPTED = {
    "a read timeout": "hang",
    "a reset after the request": "reset-after-lost",
    "a 502": "502",
    "a 504": "504-never",
    "a 500 in somebody else's words": "garbage-500",
    "a 200 in somebody else's words": "garbage-200-lost",
}


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    return start_whole(config=CONFIG)


@pytest.fixture(scope="module")
def accepted(whole: Whole) -> dict[str, str]:
    """The emails whose call tells nothing, though the provider accepted: tag -> request_id."""
    return send_all(whole.system, [f"{tag}+webhook-late.6" for tag in ACCEPTED.values()])


@pytest.fixture(scope="module")
def never_accepted(whole: Whole) -> dict[str, str]:
    """The emails whose call tells nothing, and of which none will: tag -> request_id.

    A blind resend of them would have come by now.
    """
    sent = send_all(whole.system, list(NEVER_ACCEPTED.values()))
    for request_id in sent.values():
        whole.system.api.wait_for_detail(request_id, "unconfirmed", within=60)
    retried = whole.system.api.send(recipient="fault+error.1@example.com")
    whole.system.api.wait_for_detail(retried, "delivered", within=60)
    return sent


def send_all(system: System, tags: list[str]) -> dict[str, str]:
    bodies = [email(recipient=f"fault+{tag}@example.com") for tag in tags]
    ids = system.api.send_many(bodies)
    return {
        tag.removesuffix("+webhook-late.6"): request_id for tag, request_id in zip(tags, ids, strict=True)
    }


@pytest.mark.parametrize("call", ACCEPTED)
def test_an_unknown_outcome_is_settled_by_a_late_webhook(
    whole: Whole, accepted: dict[str, str], call: str
) -> None:
    request_id = accepted[ACCEPTED[call]]
    whole.system.api.wait_for_detail(request_id, "delivered", within=60)
    assert states_of(whole.database, request_id) == ["unconfirmed", "delivered"]
    whole.system.provider.assert_accepted_once([request_id])
    assert len(whole.system.provider.submissions_of(request_id)) == 1


@pytest.mark.parametrize("call", NEVER_ACCEPTED)
def test_an_unknown_outcome_is_not_resent(whole: Whole, never_accepted: dict[str, str], call: str) -> None:
    request_id = never_accepted[NEVER_ACCEPTED[call]]
    answer = whole.system.api.status(request_id)
    assert (answer["status"], answer["detail"]) == ("processing", "unconfirmed")
    assert len(whole.system.provider.submissions_of(request_id)) == 1


def test_a_failure_reported_later_settles_it_too(whole: Whole) -> None:
    request_id = whole.system.api.send(recipient="fault+reset-after+webhook-failed@example.com")
    whole.system.api.wait_for_detail(request_id, "failed", within=60)
    assert len(whole.system.provider.submissions_of(request_id)) == 1


def test_a_consumer_killed_during_the_call_leaves_it_unconfirmed_and_a_webhook_settles_it(
    start_system: Callable[..., System], database: StoreDatabase
) -> None:
    system = start_system(config=CONFIG)
    body = email(recipient="fault+slow.1.5+webhook-late.10@example.com")
    request_ids = system.api.send_many([body] * 10)
    wait_until(
        lambda: system.provider.count("in_flight") == 10,
        within=30,
        what="all calls are with the provider",
    )
    system.consumers[0].kill()
    system.consumers[0].start()  # the broker gives it the ten messages again

    for request_id in request_ids:
        system.api.wait_for_detail(request_id, "delivered", within=60)
        assert states_of(database, request_id) == ["unconfirmed", "delivered"]
    system.provider.assert_accepted_once(request_ids)
    assert system.provider.received() == len(request_ids)


def states_of(database: StoreDatabase, request_id: str) -> list[str]:
    stored: dict[str, Any] | None = database["emails"].find_one({"_id": request_id})
    assert stored is not None
    return [entry["state"] for entry in stored["history"]]
