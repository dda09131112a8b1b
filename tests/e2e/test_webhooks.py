"""The provider reports what became of emails: authenticated, repeated, in disorder, too early, too late."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.conftest import Whole
from tests.harness.api import Api, email
from tests.harness.deadline import wait_until
from tests.harness.line import Line
from tests.harness.provider import Provider
from tests.harness.store import StoreDatabase
from tests.harness.system import System
from tests.harness.webhooks import event, post, post_signed, signature

NEW_SECRET, OLD_SECRET = "the-new-secret", "the-old-secret"
TOKEN = "a-token-for-the-path"


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    """In the middle of a rotation: the provider still signs with the old secret."""
    return start_whole(webhook_secrets=[NEW_SECRET, OLD_SECRET], env={"WEBHOOK_PATH_TOKENS": TOKEN})


@pytest.fixture
def api(whole: Whole) -> Api:
    return whole.system.api


@pytest.fixture
def provider(whole: Whole) -> Provider:
    return whole.system.provider


@pytest.fixture
def submitted(api: Api) -> str:
    """An email that was accepted and of which nothing was reported."""
    request_id = api.send(recipient="fault+webhook-lost@example.com")
    api.wait_for_detail(request_id, "submitted")
    return request_id


def recorded_events(whole: Whole, request_id: str) -> list[dict[str, Any]]:
    return list(whole.database["provider_events"].find({"email_id": request_id}))


def wait_until_applied(whole: Whole, request_id: str, *, count: int) -> None:
    def all_are_applied() -> bool:
        events = recorded_events(whole, request_id)
        return len(events) == count and not any("pending" in found for found in events)

    wait_until(all_are_applied, within=30, what=f"{count} events were applied")


# Who may report


@pytest.mark.parametrize("secret", [NEW_SECRET, OLD_SECRET])
def test_each_secret_of_a_rotation_is_taken(api: Api, submitted: str, secret: str) -> None:
    response = post_signed(api, event(submitted, "DELIVERED"), secret=secret)
    assert (response.status_code, response.json()) == (200, {"status": "recorded"})
    api.wait_for_detail(submitted, "delivered")


WRONG_SIGNATURES: dict[str, Callable[[bytes], dict[str, str]]] = {
    "none": lambda _: {},
    "empty": lambda _: {"X-Signature": ""},
    "of another secret": lambda body: {"X-Signature": signature(body, secret="guessed")},
    "of an empty secret": lambda body: {"X-Signature": signature(body, secret="")},
    "of another body": lambda body: {"X-Signature": signature(body + b" ", secret=NEW_SECRET)},
    "without its scheme": lambda body: {"X-Signature": signature(body, secret=NEW_SECRET)[len("sha256=") :]},
    "not ASCII": lambda _: {"X-Signature": "sha256=\xe4\xf6"},
}


@pytest.mark.parametrize("case", WRONG_SIGNATURES)
def test_a_wrong_signature_is_refused(api: Api, whole: Whole, submitted: str, case: str) -> None:
    body = event(submitted, "FAILED")
    response = post(api, body, **WRONG_SIGNATURES[case](body))
    assert response.status_code == 401
    assert response.json() == {"status": "denied", "reason": "missing or wrong X-Signature"}
    assert recorded_events(whole, submitted) == []


def test_a_token_in_the_path_is_taken_instead_of_a_signature(api: Api, submitted: str) -> None:
    assert post(api, event(submitted, "DELIVERED"), token=TOKEN).status_code == 200
    api.wait_for_detail(submitted, "delivered")


@pytest.mark.parametrize("token", ["guessed", TOKEN[:-1], TOKEN + "x", "%E4"])
def test_a_wrong_token_is_refused(api: Api, whole: Whole, submitted: str, token: str) -> None:
    response = post(api, event(submitted, "FAILED"), token=token)
    assert (response.status_code, response.json()["status"]) == (401, "denied")
    assert recorded_events(whole, submitted) == []


def test_without_tokens_configured_none_is_taken(start_system: Callable[..., System]) -> None:
    api = start_system().api
    for token in (TOKEN, "%20", ","):
        assert post(api, event(str(uuid4()), "DELIVERED"), token=token).status_code == 401


def test_a_provider_that_can_not_sign_reports_by_the_path_and_no_signature_is_taken(
    start_system: Callable[..., System],
) -> None:
    system = start_system(
        webhook_secrets=[],
        env={"WEBHOOK_PATH_TOKENS": TOKEN},
        simulator_options=["--webhook-secret-in-path", TOKEN],
    )
    request_id = system.api.send()
    system.api.wait_for_detail(request_id, "delivered")
    for secret in ("", "guessed"):
        assert post_signed(system.api, event(request_id, "FAILED"), secret=secret).status_code == 401
    assert TOKEN not in system.logs()


# What can't be read


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "body is not JSON"),
        (b"\xff\x00", "body is not JSON"),
        (b"[]", "body must be a JSON object"),
        (b'{"STATUS": "DELIVERED"}', "missing or wrong ID field"),
        (b'{"ID": 5, "STATUS": "DELIVERED"}', "missing or wrong ID field"),
        (b'{"ID": "x"}', "STATUS must be one of DELIVERED, REJECTED, FAILED"),
        (b'{"ID": "x", "STATUS": "delivered"}', "STATUS must be one of DELIVERED, REJECTED, FAILED"),
    ],
)
def test_a_malformed_event_is_denied_with_the_reason(api: Api, body: bytes, reason: str) -> None:
    response = post_signed(api, body, secret=NEW_SECRET)
    assert (response.status_code, response.json()) == (400, {"status": "denied", "reason": reason})


# Repeated, in disorder, too early


def test_an_event_that_comes_three_times_is_one_event(api: Api, provider: Provider, whole: Whole) -> None:
    request_id = api.send(recipient="fault+webhook-dup.3@example.com")
    api.wait_for_detail(request_id, "delivered")
    wait_until(provider.is_idle, within=30, what="all three were sent")
    (submission,) = provider.submissions_of(request_id)
    assert [webhook["result"] for webhook in submission["webhooks"]] == [200, 200, 200]
    wait_until_applied(whole, request_id, count=1)
    stored = whole.database["emails"].find_one({"_id": request_id})
    assert stored is not None
    assert [entry["state"] for entry in stored["history"]] == ["submitted", "delivered"]


def test_a_failure_that_comes_after_the_delivery_it_preceded_is_overruled(
    api: Api, provider: Provider, whole: Whole
) -> None:
    request_id = api.send(recipient="fault+webhook-reversed+webhook-dup.3@example.com")
    api.wait_for_detail(request_id, "delivered")
    wait_until(provider.is_idle, within=30, what="everything was reported")
    wait_until_applied(whole, request_id, count=2)
    assert api.status(request_id)["detail"] == "delivered"


def test_an_event_before_the_submission_was_recorded_counts(
    api: Api, provider: Provider, whole: Whole
) -> None:
    body = email(recipient="fault+webhook-first@example.com")
    request_ids = api.send_many([body] * 30)
    api.wait_for_all(request_ids, "sent", within=60)
    provider.assert_accepted_once(request_ids)
    for request_id in request_ids:
        wait_until_applied(whole, request_id, count=1)
        assert api.status(request_id)["detail"] == "delivered"


def test_an_event_during_the_call_counts_and_the_late_answer_does_not_undo_it(api: Api, whole: Whole) -> None:
    request_id = api.send(recipient="fault+slow.2+webhook-lost@example.com")
    api.wait_for_detail(request_id, "submitting")
    post_signed(api, event(request_id, "DELIVERED"), secret=NEW_SECRET)
    api.wait_for_detail(request_id, "delivered")
    wait_until(
        lambda: whole.system.provider.submissions_of(request_id)[0]["answered_at"],
        within=30,
        what="the provider answered",
    )
    # The next email's answer is settled after this one's.
    api.wait_for_detail(api.send(), "delivered")
    status = api.status(request_id)
    assert (status["detail"], status["attempts"]) == ("delivered", 1)


def test_an_event_about_an_email_that_was_never_submitted_changes_nothing(
    start_system: Callable[..., System],
) -> None:
    system = start_system(webhook_secrets=[NEW_SECRET])
    system.consumers[0].stop(within=30)
    request_id = system.api.send()
    assert post_signed(system.api, event(request_id, "FAILED"), secret=NEW_SECRET).status_code == 200
    system.consumers[0].start()
    system.api.wait_for_detail(request_id, "delivered", within=60)


def test_an_event_about_an_unknown_email_is_recorded_and_taken(api: Api, whole: Whole) -> None:
    unknown = str(uuid4())
    assert post_signed(api, event(unknown, "DELIVERED"), secret=NEW_SECRET).status_code == 200
    wait_until_applied(whole, unknown, count=1)
    (recorded,) = recorded_events(whole, unknown)
    assert recorded["effect"] == "unknown_email"


# What reports lead to


@pytest.mark.parametrize(
    ("report", "detail"), [("webhook-failed", "failed"), ("webhook-rejected", "rejected")]
)
def test_a_failure_reported_after_acceptance_fails_the_email(api: Api, report: str, detail: str) -> None:
    request_id = api.send(recipient=f"fault+{report}@example.com")
    status = api.wait_for_status(request_id, "failed")
    assert (status["detail"], status["reason"]) == (detail, f"the provider reported it {detail}")


def test_delivered_after_failed_is_delivered(api: Api) -> None:
    request_id = api.send(recipient="fault+webhook-failed@example.com")
    api.wait_for_detail(request_id, "failed")
    post_signed(api, event(request_id, "DELIVERED"), secret=NEW_SECRET)
    api.wait_for_status(request_id, "sent")


def test_while_the_store_is_away_the_provider_is_asked_to_send_it_again(
    start_system: Callable[..., System], database: StoreDatabase, line_to: Callable[[int], Line]
) -> None:
    line = line_to(database.port)
    system = start_system(
        mongodb_uri=line.over(database.uri), simulator_options=["--webhook-retry-delays", "1,1,1,2,2,5,5"]
    )
    request_id = system.api.send(recipient="fault+webhook-late.4@example.com")
    system.api.wait_for_detail(request_id, "submitted")
    line.cut()
    wait_until(
        lambda: webhook_results(system.provider, request_id)[:1] == [503],
        within=60,
        what="the first webhook was answered 503",
    )
    line.restore()
    system.api.wait_for_detail(request_id, "delivered", within=60)
    assert webhook_results(system.provider, request_id)[-1] == 200


def webhook_results(provider: Provider, request_id: str) -> list[object]:
    (submission,) = provider.submissions_of(request_id)
    return [webhook["result"] for webhook in submission["webhooks"]]
