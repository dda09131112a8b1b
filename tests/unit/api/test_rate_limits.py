import pytest

from delivery.domain.rates import UNLIMITED, Rate
from delivery.domain.tenants import Tenant
from tests.unit.api.fakes import FakeApi, Start

EMAIL = {"sender": "shop@example.com", "recipient": "ann@example.com", "message": "Hello"}
LIMITED = "[api]\nrate = 2\nburst = 3"


def told(response: object) -> dict[str, str]:
    headers = getattr(response, "headers", {})
    return {name: value for name, value in headers.items() if name.startswith(("RateLimit", "Retry"))}


def test_nobody_is_limited_unless_it_is_configured(api: FakeApi) -> None:
    assert told(api.client.post("/send", json=EMAIL)) == {}


def test_each_answer_says_what_is_left(start: Start) -> None:
    api = start(config=LIMITED)
    for path, status, remaining in [("/send", 400, "2"), ("/status", 405, "1"), ("/nothing", 404, "0")]:
        response = api.client.post(path, json={})
        assert response.status_code == status
        assert told(response)["RateLimit-Limit"] == "3"
        assert told(response)["RateLimit-Remaining"] == remaining


def test_one_too_many_is_refused_and_told_when_to_come_back(start: Start) -> None:
    api = start(config=LIMITED)
    for _ in range(3):
        assert api.client.post("/send", json=EMAIL).status_code == 202
    response = api.client.post("/send", json=EMAIL)
    assert response.status_code == 429
    assert response.json == {"status": "denied", "reason": "too many requests; try again later"}
    assert told(response) == {
        "RateLimit-Limit": "3",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "2",
        "RateLimit-Policy": "3;w=2",
        "Retry-After": "1",
    }
    assert len(api.emails.accepted) == 3


def test_what_has_no_key_uses_nothing_up_and_learns_nothing(start: Start) -> None:
    api = start(config=LIMITED, API_KEYS="key")
    for _ in range(9):
        response = api.client.post("/send", json=EMAIL)
        assert (response.status_code, told(response)) == (401, {})
    assert api.client.post("/send", json=EMAIL, headers={"X-Api-Key": "key"}).status_code == 202


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/livez"), ("GET", "/readyz"), ("POST", "/webhooks/mail-delivery-service/token")],
)
def test_what_is_open_has_no_limit(start: Start, method: str, path: str) -> None:
    api = start(config=LIMITED)
    body = {"ID": "an-id", "STATUS": "DELIVERED"}
    answers = [api.client.open(path, method=method, json=body) for _ in range(9)]
    assert [(answer.status_code, told(answer)) for answer in answers] == [(200, {})] * 9


def test_a_batch_is_worth_as_many_requests_as_it_has_emails(start: Start) -> None:
    api = start(config=LIMITED)
    email = {"from": "shop@example.com", "to": "ann@example.com", "text": "Hello"}
    assert api.client.post("/api/v1/emails/batch", json=[email] * 21).status_code == 200
    response = api.client.post("/api/v1/emails", json=email)
    assert (response.status_code, response.get_json()["error"]["code"]) == (429, "RATE_LIMITED")


@pytest.mark.parametrize(("rate", "allowed"), [(Rate(1, 1), 1), (Rate(9, 9), 9), (UNLIMITED, 12), (None, 3)])
def test_a_tenant_may_have_a_rate_of_its_own(start: Start, rate: Rate | None, allowed: int) -> None:
    api = start(config=LIMITED)
    api.store.tenants.made["default"] = Tenant(tenant_id="default", rate=rate)
    answers = [api.client.post("/send", json=EMAIL).status_code for _ in range(12)]
    assert answers == [202] * allowed + [429] * (12 - allowed)
