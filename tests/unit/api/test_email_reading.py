from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from delivery.domain.idempotency import KeyRecord, record_id
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from tests.unit.api.fakes import FakeApi

EMAILS = "/api/v1/emails"
LATER = "2026-12-01T12:00:00Z"


def send(api: FakeApi, **fields: Any) -> str:
    body = {"from": "shop@example.com", "to": "ann@example.com", "text": "Hello", **fields}
    response = api.client.post(EMAILS, json=body)
    assert response.status_code == 200, response.json
    email_id: str = response.get_json()["emailId"]
    return email_id


def stand(api: FakeApi, email_id: str, state: State, **changes: Any) -> None:
    api.emails.found[email_id] = replace(api.emails.found[email_id], state=state, **changes)


def error(response: Any, status: int) -> str:
    assert response.status_code == status, response.json
    code = {400: "BAD_REQUEST", 404: "NOT_FOUND"}[status]
    assert response.get_json()["error"]["code"] == code
    message: str = response.get_json()["error"]["message"]
    return message


def test_an_email_is_read_as_it_was_sent(api: FakeApi) -> None:
    email_id = send(api, lane="bulk")
    found = api.client.get(f"{EMAILS}/{email_id}").get_json()
    assert (found["id"], found["from"], found["to"]) == (email_id, "shop@example.com", ["ann@example.com"])
    assert (found["text"], found["html"], found["subject"]) == ("Hello", None, "")
    assert (found["latestStatus"], found["state"]) == ("QUEUED", "queued")
    assert [event["status"] for event in found["emailEvents"]] == ["QUEUED"]


@pytest.mark.parametrize("email_id", ["0190f5fe-7c00-7a00-8000-000000000000", "x", "%20", "a" * 300])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("PATCH", ""), ("POST", "/cancel")])
def test_what_nobody_sent_is_not_found(api: FakeApi, email_id: str, method: str, path: str) -> None:
    body = {"scheduledAt": LATER} if method == "PATCH" else None
    error(api.client.open(f"{EMAILS}/{email_id}{path}", method=method, json=body), 404)


def test_an_email_is_canceled_and_once_more_without_a_difference(api: FakeApi) -> None:
    email_id = send(api)
    for _ in range(2):
        assert api.client.post(f"{EMAILS}/{email_id.upper()}/cancel", json={}).get_json() == {
            "emailId": email_id
        }
    assert api.client.get(f"{EMAILS}/{email_id}").get_json()["latestStatus"] == "CANCELLED"


@pytest.mark.parametrize("state", [State.SUBMITTING, State.SUBMITTED, State.DELIVERED, State.HELD])
def test_what_is_in_a_providers_hands_is_not_canceled(api: FakeApi, state: State) -> None:
    email_id = send(api)
    stand(api, email_id, state)
    assert f"it is {state}" in error(api.client.post(f"{EMAILS}/{email_id}/cancel"), 400)


def test_what_the_provider_may_have_is_not_canceled(api: FakeApi) -> None:
    email_id = send(api)
    stand(api, email_id, State.RETRYING, may_be_sent=True)
    assert "may have accepted" in error(api.client.post(f"{EMAILS}/{email_id}/cancel"), 400)


def test_a_scheduled_email_is_rescheduled(api: FakeApi) -> None:
    email_id = send(api)
    stand(api, email_id, State.SCHEDULED)
    later = datetime.now(UTC) + timedelta(days=1)
    response = api.client.patch(f"{EMAILS}/{email_id}", json={"scheduledAt": later.isoformat()})
    assert response.get_json() == {"emailId": email_id}
    assert api.emails.found[email_id].due_at == later
    past = {"scheduledAt": "2020-01-01T00:00:00Z"}
    assert api.client.patch(f"{EMAILS}/{email_id}", json=past).status_code == 200
    assert api.emails.found[email_id].due_at < later


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "missing scheduledAt field"),
        ({"scheduledAt": None}, "scheduledAt must not be null"),
        ({"scheduledAt": "tomorrow"}, "scheduledAt must be a time with its offset"),
        ({"scheduledAt": "2026-12-01T12:00:00"}, "scheduledAt must be a time with its offset"),
        ({"scheduledAt": "2099-01-01T00:00:00Z"}, "scheduledAt is more than 90 days ahead"),
        ({"scheduledAt": LATER, "x": 1}, "unknown field 'x'"),
    ],
)
def test_a_time_that_cant_be_taken_is_told(api: FakeApi, body: object, reason: str) -> None:
    email_id = send(api)
    stand(api, email_id, State.SCHEDULED)
    assert error(api.client.patch(f"{EMAILS}/{email_id}", json=body), 400).startswith(reason)


def test_what_is_scheduled_no_more_is_not_rescheduled(api: FakeApi) -> None:
    email_id = send(api)
    assert "it is queued" in error(
        api.client.patch(f"{EMAILS}/{email_id}", json={"scheduledAt": "2020-01-01T00:00:00Z"}), 400
    )


def ids(api: FakeApi, query: str = "") -> list[str]:
    response = api.client.get(f"{EMAILS}{query}")
    assert response.status_code == 200, response.json
    return [email["id"] for email in response.get_json()["data"]]


def test_emails_are_listed_from_the_newest_page_by_page(api: FakeApi) -> None:
    sent = [send(api) for _ in range(5)]
    newest = sorted(sent, key=lambda one: (api.emails.found[one].accepted_at, one), reverse=True)
    assert ids(api) == newest
    first = api.client.get(f"{EMAILS}?limit=2").get_json()
    assert first["count"] == 5
    second = api.client.get(f"{EMAILS}?limit=2&cursor={first['nextCursor']}").get_json()
    assert [email["id"] for email in first["data"] + second["data"]] == newest[:4]
    assert ids(api, "?limit=2&page=3") == newest[4:]
    assert api.client.get(f"{EMAILS}?limit=5").get_json()["nextCursor"] is None
    assert {email["html"] for email in first["data"]} == {email["text"] for email in first["data"]} == {None}


def test_a_list_is_narrowed(api: FakeApi) -> None:
    plain, bulk = send(api), send(api, lane="bulk")
    other = send(api, to="bob@example.com")
    stand(api, bulk, State.DELIVERED, lane=Lane.BULK)
    assert ids(api, "?lane=bulk") == ids(api, "?status=DELIVERED") == ids(api, "?status=delivered") == [bulk]
    assert ids(api, "?recipient=bob@example.com") == [other]
    assert set(ids(api, "?status=QUEUED")) == {plain, other}
    assert ids(api, "?endDate=2020-01-01T00:00:00Z") == []
    assert len(ids(api, "?startDate=2020-01-01T00:00:00%2B01:00")) == 3


def test_the_email_of_a_key_is_found(api: FakeApi) -> None:
    send(api)
    keyed = send(api)
    record = KeyRecord(
        record_id=record_id("default", "order 1"),
        tenant_id="default",
        fingerprint="",
        email_ids=(keyed,),
        created_at=datetime.now(UTC),
    )
    api.store.idempotency_keys.records[record.record_id] = record
    assert ids(api, "?idempotencyKey=order+1") == [keyed]
    assert ids(api, "?idempotencyKey=another") == []


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("?page=0", "page must be a whole number between 1 and 1000"),
        ("?page=x", "page must be a whole number"),
        ("?limit=101", "limit must be a whole number between 1 and 100"),
        ("?page=500&limit=100", "pages go as far as 1000 emails"),
        ("?cursor=x", "cursor is not a nextCursor"),
        ("?cursor=", "cursor is not a nextCursor"),
        ("?startDate=2020-01-01", "startDate must be a time"),
        ("?status=SENDING", "status must be one of"),
        ("?lane=slow", "lane must be one of"),
        ("?recipient=ann", "recipient is not a valid email address"),
        ("?idempotencyKey=%E2%82%AC", "idempotencyKey must be printable ASCII"),
        ("?lane=bulk&lane=critical", "lane is given more than once"),
        ("?sort=asc", "unknown field 'sort'"),
    ],
)
def test_a_query_that_cant_be_taken_is_told(api: FakeApi, query: str, reason: str) -> None:
    assert error(api.client.get(f"{EMAILS}{query}"), 400).startswith(reason)
