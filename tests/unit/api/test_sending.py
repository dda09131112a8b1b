import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.domain.idempotency import Json, fingerprint, record_id
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from tests.unit.api.fakes import FakeApi, Start

VALID = {"sender": "shop@example.com", "recipient": "ann@example.com", "message": "Hello"}


def _send(api: FakeApi, *, headers: dict[str, str] | None = None, **fields: Any) -> TestResponse:
    return api.client.post("/send", json={**VALID, **fields}, headers=headers)


def test_what_is_accepted_gets_an_id_to_ask_with(api: FakeApi) -> None:
    response = _send(api, lane="bulk", priority=3)
    assert response.status_code == 202
    assert response.json is not None
    assert response.json["status"] == "accepted"
    (email,) = api.emails.accepted
    assert response.json == {"status": "accepted", "request_id": email.email_id}
    assert response.headers["Location"] == f"/status/{email.email_id}"
    assert (email.request.lane, email.request.priority) == (Lane.BULK, 3)
    assert uuid.UUID(email.email_id).version == 7
    assert datetime.now(UTC) - email.accepted_at < timedelta(minutes=1)


def test_what_was_accepted_can_be_asked_about(api: FakeApi) -> None:
    location = _send(api).headers["Location"]
    response = api.client.get(location)
    assert response.json is not None
    assert (response.json["status"], response.json["detail"]) == ("processing", "queued")


def test_nobody_is_kept_waiting_for_what_is_to_be_sent_later(api: FakeApi) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    response = _send(api, send_at=later.isoformat(), headers={"Prefer": "wait=10"})
    assert (response.status_code, "Preference-Applied" in response.headers) == (202, False)
    (email,) = api.emails.accepted
    assert email.request.send_at == later


def test_what_is_denied_is_not_stored(api: FakeApi) -> None:
    response = _send(api, recipient="")
    assert response.status_code == 400
    assert response.json == {"status": "denied", "reason": "recipient is empty"}
    assert api.emails.accepted == []


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_body_that_does_not_say_it_is_json_is_denied(api: FakeApi, content_type: str | None) -> None:
    response = api.client.post("/send", data=json.dumps(VALID), content_type=content_type)
    assert response.status_code == 400
    assert response.json == {"status": "denied", "reason": "Content-Type must be application/json"}


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_may_be_said_in_any_way(api: FakeApi, content_type: str) -> None:
    assert api.client.post("/send", data=json.dumps(VALID), content_type=content_type).status_code == 202


def test_a_body_over_the_limit_is_told_so(start: Start) -> None:
    api = start(config="[api]\nmax_body_bytes = 1024")
    response = _send(api, message="x" * 2000)
    assert response.status_code == 413
    assert response.json == {"status": "denied", "reason": "body is too large"}


@pytest.mark.parametrize("field", ["subject", "text"])
def test_extra_fields_are_taken_where_the_provider_takes_them(start: Start, field: str) -> None:
    body = {**VALID, field: "x"}
    denied = start().client.post("/send", json=body)
    assert denied.json == {"status": "denied", "reason": f"{field} field is not supported by the provider"}
    extended = start(config=f'[provider]\nextra_fields = ["{field}"]')
    assert extended.client.post("/send", json=body).status_code == 202


def test_a_store_that_is_away_is_told_with_when_to_try_again(api: FakeApi) -> None:
    api.emails.error = StoreUnavailable("ServerSelectionTimeoutError")
    response = _send(api)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert response.json == {"status": "error", "reason": "the store is away; try again"}


def test_a_write_that_may_have_happened_is_told_with_the_id_to_ask_with(api: FakeApi) -> None:
    api.emails.error = StoreOutcomeUnknown("NetworkTimeout")
    response = _send(api)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert response.json is not None
    assert response.json["reason"] == "the email may have been accepted; ask /status before sending it again"
    assert uuid.UUID(response.json["request_id"])


# Prefer: wait


def test_a_wait_that_brings_the_answer_is_answered_with_it(api: FakeApi) -> None:
    api.emails.becomes = State.SUBMITTED
    response = _send(api, headers={"Prefer": "wait=10"})
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "wait=10"
    assert response.json is not None
    assert response.json["detail"] == "submitted"


def test_a_wait_without_an_answer_ends_with_202(api: FakeApi) -> None:
    response = _send(api, headers={"Prefer": "wait=0"})
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "wait=0"


def test_without_the_wish_nothing_is_said_about_it(api: FakeApi) -> None:
    assert "Preference-Applied" not in _send(api).headers


def test_with_a_key_a_request_is_accepted_once(api: FakeApi) -> None:
    first = _send(api, headers={"Idempotency-Key": "order-17"})
    assert (first.status_code, "Idempotency-Replay" in first.headers) == (202, False)
    api.emails.are_replays = True
    again = _send(api, headers={"Idempotency-Key": "order-17"})
    assert (again.status_code, again.headers["Idempotency-Replay"]) == (202, "true")


def test_what_is_denied_uses_up_no_key(api: FakeApi) -> None:
    assert _send(api, recipient="", headers={"Idempotency-Key": "order-17"}).status_code == 400
    assert api.emails.accepted == []


def _accepted_before_it_expired(api: FakeApi, *, key: str) -> str:
    """Returns when it expired."""
    past = "2001-01-01T00:00:00Z"
    body: dict[str, Json] = {**VALID, "expires_at": past, "lane": "transactional"}
    api.emails.keys[record_id("default", key), fingerprint(body)] = ("the first",)
    return past


def test_what_was_accepted_in_time_is_answered_alike_after_its_expiry(api: FakeApi) -> None:
    past = _accepted_before_it_expired(api, key="order-17")
    again = _send(api, headers={"Idempotency-Key": "order-17"}, expires_at=past)
    assert (again.status_code, again.headers["Idempotency-Replay"]) == (202, "true")
    assert again.json == {"status": "accepted", "request_id": "the first"}
    assert not api.emails.accepted


@pytest.mark.parametrize(
    ("headers", "fields"),
    [({}, {}), ({"Idempotency-Key": "order-18"}, {}), ({"Idempotency-Key": "order-17"}, {"message": "Bye"})],
)
def test_what_was_not_comes_too_late(api: FakeApi, headers: dict[str, str], fields: dict[str, str]) -> None:
    past = _accepted_before_it_expired(api, key="order-17")
    denied = _send(api, headers=headers, expires_at=past, **fields)
    assert denied.status_code == 400
    assert denied.json == {"status": "denied", "reason": "expires_at is in the past"}


@pytest.mark.parametrize("key", ["", "a" * 257, "\u00e9", "a\tb"])
def test_what_can_not_be_a_key_is_denied(api: FakeApi, key: str) -> None:
    response = _send(api, headers={"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json is not None
    assert "Idempotency-Key must be" in response.json["reason"]


def test_a_write_with_a_key_that_may_have_happened_is_to_be_repeated_with_it(api: FakeApi) -> None:
    api.emails.error = StoreOutcomeUnknown("NetworkTimeout")
    response = _send(api, headers={"Idempotency-Key": "order-17"})
    assert response.status_code == 503
    assert response.json is not None
    assert "request_id" not in response.json
    assert "repeat the request with the same Idempotency-Key" in response.json["reason"]
