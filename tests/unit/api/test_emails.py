from typing import Any

import pytest
from werkzeug.test import TestResponse

from delivery.config_values import EXTRA_FIELDS
from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.domain.tenants import Tenant
from tests.unit.api.fakes import FakeApi, Start
from tests.unit.delivery.builders import EMAIL_ID

BODY = {"to": "ann@example.com", "from": "shop@example.com", "subject": "Hi", "text": "Hello"}
WRONG = {**BODY, "to": "nobody"}


@pytest.fixture
def api(start: Start) -> FakeApi:
    return start(config=f"[provider]\nextra_fields = {list(EXTRA_FIELDS)}\n")


def send(api: FakeApi, **fields: Any) -> TestResponse:
    return api.client.post("/api/v1/emails", json={**BODY, **fields})


def batch(api: FakeApi, *items: Any, mode: str | None = None, key: str | None = None) -> TestResponse:
    given = {"x-batch-validation": mode, "Idempotency-Key": key}
    headers = {name: value for name, value in given.items() if value is not None}
    return api.client.post("/api/v1/emails/batch", json=list(items), headers=headers)


def error(response: TestResponse) -> tuple[int, str, str]:
    assert response.json is not None
    said = response.json["error"]
    return response.status_code, said["code"], said["message"]


def test_an_email_is_accepted_with_its_id(api: FakeApi) -> None:
    response = send(api)
    (email,) = api.emails.accepted
    assert (response.status_code, response.json) == (200, {"emailId": email.email_id})
    assert email.request.content.message == "Hello"


def test_a_batch_is_accepted_in_its_order(api: FakeApi) -> None:
    response = batch(api, {**BODY, "text": "1"}, {**BODY, "text": "2"})
    assert [email.request.content.message for email in api.emails.accepted] == ["1", "2"]
    ids = [{"emailId": email.email_id} for email in api.emails.accepted]
    assert (response.status_code, response.json) == (200, {"data": ids})


def test_one_that_is_wrong_refuses_its_batch_and_is_named(api: FakeApi) -> None:
    reason = "email 1: to is not a valid email address"
    assert error(batch(api, BODY, WRONG, {})) == (400, "BAD_REQUEST", reason)
    assert api.emails.accepted == []


def test_a_permissive_batch_takes_the_valid_ones(api: FakeApi) -> None:
    response = batch(api, WRONG, BODY, {**BODY, "cc": 1}, BODY, mode="permissive")
    assert response.status_code == 200
    assert response.json == {
        "data": [{"emailId": email.email_id} for email in api.emails.accepted],
        "errors": [
            {"index": 0, "message": "to is not a valid email address"},
            {"index": 2, "message": "cc must be an address or a list of addresses"},
        ],
    }
    assert len(api.emails.accepted) == 2


def test_a_permissive_batch_of_nothing_valid_accepts_nothing(api: FakeApi) -> None:
    response = batch(api, WRONG, mode="permissive", key="k")
    assert response.json == {
        "data": [],
        "errors": [{"index": 0, "message": "to is not a valid email address"}],
    }
    assert api.emails.keys == {}


def test_a_mode_nobody_knows_is_refused(api: FakeApi) -> None:
    assert error(batch(api, BODY, mode="lax"))[:2] == (400, "BAD_REQUEST")


def test_a_repeated_request_says_that_it_is_one(api: FakeApi) -> None:
    api.emails.are_replays = True
    assert batch(api, BODY, key="k").headers["Idempotency-Replay"] == "true"
    assert "Idempotency-Replay" not in batch(api, BODY).headers


def test_what_was_accepted_in_time_is_answered_alike_when_it_is_repeated_late(api: FakeApi) -> None:
    timely = {**BODY, "expires_at": "2100-01-01T00:00:00Z"}
    first = batch(api, timely, BODY, key="k")
    (record_id, fingerprint) = next(iter(api.emails.keys))
    late = api.app.extensions["postroom"].emails_contract.batch_fingerprint(
        [{**BODY, "expires_at": "2000-01-01T00:00:00Z"}, BODY], is_permissive=False
    )
    api.emails.keys = {(record_id, late): api.emails.keys[record_id, fingerprint]}
    again = batch(api, {**BODY, "expires_at": "2000-01-01T00:00:00Z"}, BODY, key="k")
    assert (again.status_code, again.json) == (200, first.json)
    assert again.headers["Idempotency-Replay"] == "true"


def test_a_tenant_sends_only_from_its_own_addresses_in_a_batch_too(start: Start) -> None:
    api = start(config=f"[provider]\nextra_fields = {list(EXTRA_FIELDS)}\n")
    api.store.tenants.made["default"] = Tenant(tenant_id="default", senders=("*@acme.example",))
    own = {**BODY, "from": "Acme <shop@acme.example>"}
    refused = batch(api, own, BODY)
    assert error(refused) == (403, "FORBIDDEN", "email 1: sender is not among this tenant's addresses")
    assert error(send(api))[:2] == (403, "FORBIDDEN")
    permissive = batch(api, own, BODY, mode="permissive").json
    assert permissive is not None
    assert (len(permissive["data"]), [each["index"] for each in permissive["errors"]]) == (1, [1])


def test_only_an_email_of_ones_own_is_answered(api: FakeApi) -> None:
    reason = "inReplyToId is the id of no email that was sent before"
    assert error(send(api, inReplyToId=EMAIL_ID)) == (400, "BAD_REQUEST", reason)
    api.emails.tenants[EMAIL_ID] = "acme"
    assert error(send(api, inReplyToId=EMAIL_ID)) == (400, "BAD_REQUEST", reason)
    api.emails.tenants[EMAIL_ID] = "default"
    assert send(api, inReplyToId=EMAIL_ID).status_code == 200


def test_while_the_store_is_away_nothing_is_accepted(api: FakeApi) -> None:
    api.emails.error = StoreUnavailable("away")
    response = batch(api, BODY)
    assert error(response) == (503, "INTERNAL_SERVER_ERROR", "the store is away; try again")
    assert response.headers["Retry-After"] == "1"


def test_who_cant_be_told_what_the_store_did_is_told_what_to_do(api: FakeApi) -> None:
    api.emails.error = StoreOutcomeUnknown("timeout")
    response = send(api)
    assert error(response)[:2] == (503, "INTERNAL_SERVER_ERROR")
    assert response.json is not None
    assert len(response.json["emailIds"]) == 1
    keyed = batch(api, BODY, key="k")
    assert "repeat the request with the same Idempotency-Key" in error(keyed)[2]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "NOT_FOUND"),
        ("GET", "/api/v1", 404, "NOT_FOUND"),
        ("DELETE", "/api/v1/emails/batch", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/api/v1/emails", 400, "BAD_REQUEST"),
    ],
)
def test_every_error_of_the_public_api_has_its_code(
    api: FakeApi, method: str, path: str, status: int, code: str
) -> None:
    assert error(api.client.open(path, method=method))[:2] == (status, code)


def test_other_routes_keep_their_own_errors(api: FakeApi) -> None:
    assert api.client.get("/api/v1x").json == {"status": "denied", "reason": "not found"}


def test_a_body_may_be_larger_than_elsewhere_and_has_a_most(start: Start) -> None:
    limits = "[api]\nmax_body_bytes = 1024\nmax_email_body_bytes = 2048\n"
    api = start(config=limits + '[provider]\nextra_fields = ["subject"]\n')
    assert send(api, text="x" * 1500).status_code == 200
    assert error(send(api, text="x" * 2000)) == (413, "BAD_REQUEST", "body is too large")
    assert api.client.post("/send", json={"message": "x" * 1500}).status_code == 413
