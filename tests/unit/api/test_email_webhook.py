from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from delivery.domain.tenants import Tenant
from tests.unit.api.fakes import FakeApi, Start

NOTICE = {"email_id": "invoice-1", "user": "ann@example.com", "body": "Your invoice"}
DEFAULT = Tenant(tenant_id="default", sender_default="billing@example.com")


@pytest.fixture
def billing(start: Start) -> FakeApi:
    api = start()
    api.store.tenants.made["default"] = DEFAULT
    return api


def post(api: FakeApi, **fields: Any) -> TestResponse:
    body = {name: value for name, value in {**NOTICE, **fields}.items() if value is not None}
    return api.client.post("/webhook/email", json=body)


def test_the_first_is_accepted_from_the_tenants_default_sender(billing: FakeApi) -> None:
    response = post(billing)
    (email,) = billing.emails.accepted
    assert (response.status_code, response.json) == (
        202,
        {"status": "accepted", "request_id": email.email_id},
    )
    assert response.headers["Location"] == f"/status/{email.email_id}"
    content = email.request.content
    assert (content.sender, content.recipient) == ("billing@example.com", "ann@example.com")
    assert (content.message, email.request.lane) == ("Your invoice", Lane.TRANSACTIONAL)


def test_again_it_gets_the_first_ones_id_and_status(billing: FakeApi) -> None:
    billing.emails.becomes = State.DELIVERED
    first = post(billing)
    again = billing.client.post("/webhook/email", json=dict(reversed(NOTICE.items())) | {"subject": None})
    assert again.status_code == 400, "a null is no subject, and is named"
    again = billing.client.post("/webhook/email", json=dict(reversed(NOTICE.items())))
    assert again.status_code == 200
    assert first.json is not None
    assert again.json is not None
    assert again.json["request_id"] == first.json["request_id"]
    assert (again.json["status"], again.json["detail"]) == ("sent", "delivered")
    assert len(billing.emails.accepted) == 1


@pytest.mark.parametrize("changed", [{"body": "Another"}, {"user": "ben@example.com"}])
def test_other_content_under_a_used_id_is_a_conflict(billing: FakeApi, changed: dict[str, str]) -> None:
    post(billing)
    response = post(billing, **changed)
    assert response.status_code == 409
    assert response.json == {"status": "denied", "reason": "email_id was used before with other content"}
    assert len(billing.emails.accepted) == 1


def test_another_tenants_equal_id_is_another_email(billing: FakeApi) -> None:
    first = post(billing)
    billing.store.tenants.made["default"] = replace(DEFAULT, tenant_id="other")
    billing.forget_callers()
    second = post(billing)
    assert second.status_code == 202
    assert first.json is not None
    assert second.json is not None
    assert first.json["request_id"] != second.json["request_id"]


def test_without_a_default_sender_it_is_refused_clearly(api: FakeApi) -> None:
    response = post(api)
    assert response.status_code == 403
    assert response.json == {
        "status": "denied",
        "reason": "this tenant has no default sender (postroom tenants change --sender-default)",
    }
    assert api.emails.accepted == []


def test_what_was_accepted_is_answered_alike_when_the_sender_is_taken_away(billing: FakeApi) -> None:
    first = post(billing)
    billing.store.tenants.made["default"] = replace(DEFAULT, sender_default=None)
    billing.forget_callers()
    again = post(billing)
    assert first.json is not None
    assert again.json is not None
    assert (again.status_code, again.json["request_id"]) == (200, first.json["request_id"])
    assert post(billing, body="Another").status_code == 409


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"email_id": None}, "missing email_id field"),
        ({"email_id": ""}, "email_id is empty"),
        ({"email_id": 7}, "email_id must be a string"),
        ({"email_id": "a\tb"}, "email_id must be printable ASCII characters"),
        ({"email_id": "x" * 256}, "email_id is longer than 255 characters"),
        ({"user": None}, "missing user field"),
        ({"user": "ann"}, "user is not a valid email address"),
        ({"body": None}, "missing body field"),
        ({"subject": "Invoice"}, "subject field is not supported by the provider"),
        ({"sender": "ceo@example.com"}, "unknown field 'sender'"),
    ],
)
def test_what_can_not_be_taken_is_denied_by_name(
    billing: FakeApi, fields: dict[str, Any], reason: str
) -> None:
    response = post(billing, **fields)
    assert (response.status_code, response.json) == (400, {"status": "denied", "reason": reason})
    assert billing.emails.accepted == []


def test_where_the_provider_carries_a_subject_it_is_required_and_carried(start: Start) -> None:
    api = start(config='[provider]\nextra_fields = ["subject"]')
    api.store.tenants.made["default"] = DEFAULT
    denied = post(api)
    assert (denied.status_code, denied.json) == (
        400,
        {"status": "denied", "reason": "missing subject field"},
    )
    assert post(api, subject="Invoice 1").status_code == 202
    (email,) = api.emails.accepted
    assert email.request.content.subject == "Invoice 1"


def test_the_lane_is_one_that_the_tenant_may_use(billing: FakeApi) -> None:
    billing.store.tenants.made["default"] = replace(DEFAULT, lanes=frozenset({Lane.BULK}))
    assert post(billing).status_code == 202
    assert billing.emails.accepted[0].request.lane is Lane.BULK


def test_what_may_have_been_stored_can_be_repeated(billing: FakeApi) -> None:
    billing.emails.error = StoreOutcomeUnknown("x")
    response = post(billing)
    assert response.status_code == 503
    assert response.json is not None
    assert response.json["reason"] == (
        "the email may have been accepted; repeat the request with the same email_id"
    )
    billing.emails.error = StoreUnavailable("x")
    assert post(billing).headers["Retry-After"] == "1"
