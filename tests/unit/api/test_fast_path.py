"""What the fast path takes, the routes would have taken alike; what it leaves has left no trace."""

import hashlib
import hmac
import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from api.fast_path import FastPath
from api.plain_requests import PlainRequest
from api.told import Told
from delivery.domain.api_keys import ApiKey, hash_of, make_token
from delivery.domain.emails import NewEmail
from delivery.domain.errors import NotStored, StoreOutcomeUnknown, StoreUnavailable
from delivery.domain.lanes import Lane
from delivery.domain.rates import Rate
from delivery.domain.tenants import Scope, Tenant
from tests.unit.api.fakes import FakeApi, Start

VALID = {"sender": "shop@example.com", "recipient": "ann@example.com", "message": "Hello"}
WEBHOOK = "/webhooks/mail-delivery-service"
ORDINARY = {"host": "localhost", "content-type": "application/json"}
AGES = 10.0


def _begin(
    api: FakeApi, path: str, body: bytes, headers: dict[str, str], *, remote: str = "127.0.0.1"
) -> Told | None:
    fast_path: FastPath = api.app.extensions["fast_path"]
    request = PlainRequest(path, {**ORDINARY, **headers, "content-length": str(len(body))}, body)
    begun = fast_path.begin(request, remote=remote)
    if begun is None:
        return None
    fast_path.commit()
    return begun.tell(begun.commit.exception(timeout=AGES) or begun.commit.result())


def _send(api: FakeApi, *, remote: str = "127.0.0.1", **headers: str) -> Told | None:
    in_small_letters = {name.replace("_", "-"): value for name, value in headers.items()}
    return _begin(api, "/send", json.dumps(VALID).encode(), in_small_letters, remote=remote)


def _route(api: FakeApi, path: str, body: bytes, headers: dict[str, str]) -> TestResponse:
    return api.client.post(path, data=body, headers={**ORDINARY, **headers})


def _introduce(api: FakeApi, **headers: str) -> None:
    """An earlier request, by which whoever calls is known."""
    api.client.get("/stats", headers={name.replace("_", "-"): value for name, value in headers.items()})


def _with_key(
    api: FakeApi, *, scopes: frozenset[Scope] = frozenset(Scope), tenant: Tenant | None = None
) -> str:
    key_id, token = make_token(bytes(38))
    now = datetime.now(UTC)
    api.store.api_keys.made[key_id] = ApiKey(
        key_id=key_id,
        tenant_id="acme",
        name="shop",
        scopes=scopes,
        secret_hash=hash_of(token),
        created_at=now,
        last_used_at=now,
    )
    api.store.tenants.made["acme"] = tenant or Tenant(tenant_id="acme")
    return token


def _signature(body: bytes) -> str:
    return "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()


def _timeless(email: NewEmail) -> NewEmail:
    """Without its id, too."""
    request = replace(email.request, expires_at=None)
    return replace(email, email_id="", accepted_at=datetime.min.replace(tzinfo=UTC), request=request)


def _lasts(email: NewEmail) -> float:
    """How many minutes, from about now."""
    expires_at = email.request.expires_at
    return math.inf if expires_at is None else (expires_at - datetime.now(UTC)) / timedelta(minutes=1)


_TIMES = ["2040-01-31T12:00:00Z", "2030-01-31T12:00:00", "2001-01-31T12:00:00Z"]
_BODIES = st.one_of(
    st.binary(max_size=3),
    st.fixed_dictionaries(
        {"sender": st.sampled_from(["shop@example.com", "shop", 5]), "recipient": st.just("ann@example.com")},
        optional={
            "message": st.sampled_from(["Hello", "", None, "\ud800", "\u00e4"]),
            "subject": st.just("x"),
            "lane": st.sampled_from(["bulk", "critical", "slow", 1]),
            "priority": st.integers(-1, 4),
            "ttl": st.integers(0, 2),
            "send_at": st.sampled_from(_TIMES),
            "expires_at": st.sampled_from(_TIMES),
            "unknown_field": st.just(1),
        },
    ).map(lambda fields: json.dumps(fields).encode()),
)
_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "idempotency-key": st.sampled_from(["key-1", "k" * 257, "\x7f"]),
        "content-type": st.sampled_from(["Application/JSON; charset=utf-8", "text/plain"]),
        "origin": st.sampled_from(["http://localhost:3000", "https://example.com"]),
        "host": st.sampled_from(["127.0.0.1:8080", "example.com", "a..b", "a" * 64]),
        "x-forwarded-for": st.just("10.0.0.1"),
        "x-api-key": st.just("pr_wrong"),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=_BODIES, headers=_HEADERS)
def test_an_email_is_accepted_as_by_its_route(start: Start, body: bytes, headers: dict[str, str]) -> None:
    fast, slow = start(), start()
    _introduce(fast)
    told, response = _begin(fast, "/send", body, headers), _route(slow, "/send", body, headers)
    if told is None:
        assert response.status_code != 202
        assert fast.emails.accepted == []
    else:
        (email,), (same,) = fast.emails.accepted, slow.emails.accepted
        assert _timeless(email) == _timeless(same)
        assert _lasts(email) == pytest.approx(_lasts(same), abs=1)
        assert told.status == response.status_code
        assert told.body == {"status": "accepted", "request_id": email.email_id}
        assert told.headers == {"Location": f"/status/{email.email_id}"}


@pytest.mark.parametrize(
    "body",
    [b'{"ID":"e1","STATUS":"DELIVERED"}', b'{"ID":"e1"}', b"[]", b'{"ID":"e1","STATUS":"FAILED","x":1}'],
)
@pytest.mark.parametrize("is_signed", [True, False])
def test_an_event_is_recorded_as_by_its_route(start: Start, body: bytes, is_signed: bool) -> None:
    fast, slow = start(), start()
    headers = {"x-signature": _signature(body) if is_signed else "sha256=00"}
    told, response = _begin(fast, WEBHOOK, body, headers), _route(slow, WEBHOOK, body, headers)
    assert (told is not None) == (response.status_code == 200)
    assert fast.events.recorded == slow.events.recorded
    assert told is None or (told.status, told.body) == (200, response.json)


def test_a_request_with_a_key_is_answered_as_the_first_one(api: FakeApi) -> None:
    _introduce(api)
    api.emails.are_replays = True
    told = _send(api, idempotency_key="key-1")
    assert told is not None
    assert told.headers["Idempotency-Replay"] == "true"
    assert len(api.emails.keys) == 1


def test_who_is_not_known_yet_goes_the_ordinary_way(api: FakeApi) -> None:
    assert _send(api) is None
    _introduce(api)
    assert _send(api) is not None
    api.forget_callers()
    assert _send(api) is None


def test_from_elsewhere_nobody_comes_without_a_key(api: FakeApi) -> None:
    _introduce(api)
    assert _send(api, remote="192.0.2.1") is None


def test_a_known_key_sends_for_its_tenant(api: FakeApi) -> None:
    bearer = f"Bearer {_with_key(api)}"
    assert _send(api, authorization=bearer) is None
    _introduce(api, authorization=bearer)
    assert _send(api, authorization=bearer, remote="192.0.2.1") is not None
    assert [email.tenant_id for email in api.emails.accepted] == ["acme"]


def test_a_key_whose_use_is_to_be_noted_goes_the_ordinary_way(api: FakeApi) -> None:
    token = _with_key(api)
    for key_id, key in api.store.api_keys.made.items():
        api.store.api_keys.made[key_id] = replace(key, last_used_at=None)
    assert _send(api, x_api_key=token) is None
    _introduce(api, x_api_key=token)
    assert _send(api, x_api_key=token) is not None


def test_a_wrong_token_under_a_known_id_goes_the_ordinary_way(api: FakeApi) -> None:
    token = _with_key(api)
    _introduce(api, x_api_key=token)
    assert _send(api, x_api_key=token[:-1] + "B") is None


@pytest.mark.parametrize(
    ("scopes", "tenant"),
    [
        (frozenset({Scope.READ}), Tenant(tenant_id="acme")),
        (frozenset(Scope), Tenant(tenant_id="acme", lanes=frozenset({Lane.BULK}))),
        (frozenset(Scope), Tenant(tenant_id="acme", senders=("*@acme.example",))),
    ],
    ids=["scope", "lane", "sender"],
)
def test_what_a_tenant_may_not_do_goes_the_ordinary_way(
    api: FakeApi, scopes: frozenset[Scope], tenant: Tenant
) -> None:
    token = _with_key(api, scopes=scopes, tenant=tenant)
    _introduce(api, x_api_key=token)
    assert _send(api, x_api_key=token) is None
    assert api.emails.accepted == []


def test_a_request_uses_up_its_tenants_rate(api: FakeApi) -> None:
    token = _with_key(api, tenant=Tenant(tenant_id="acme", rate=Rate(per_second=40, burst=3)))
    _introduce(api, x_api_key=token)  # takes two, and uses one
    told = _send(api, x_api_key=token)
    assert told is not None
    assert told.headers["RateLimit-Remaining"] == "1"
    assert _send(api, x_api_key=token) is None  # the next block of two is to be taken from the store
    response = _route(api, "/send", json.dumps(VALID).encode(), {"x-api-key": token})
    assert response.headers["RateLimit-Remaining"] == "0"


@pytest.mark.parametrize(
    "error", [StoreUnavailable("NetworkTimeout"), StoreOutcomeUnknown("x"), NotStored("x"), ValueError("x")]
)
@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "key-1"}], ids=["without key", "with key"])
def test_what_the_store_refuses_is_told_as_by_the_route(
    api: FakeApi, error: Exception, headers: dict[str, str]
) -> None:
    body = json.dumps(VALID).encode()
    _introduce(api)
    api.emails.error = error
    told, response = _begin(api, "/send", body, headers), _route(api, "/send", body, headers)
    assert told is not None
    assert told.status == response.status_code
    assert _without_id(told.body) == _without_id(response.json or {})
    assert told.headers.get("Retry-After") == response.headers.get("Retry-After")


def _without_id(body: Any) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "request_id"}


@pytest.mark.parametrize(
    "error", [StoreUnavailable("NetworkTimeout"), StoreOutcomeUnknown("x"), ValueError("x")]
)
def test_an_event_that_is_not_stored_is_told_as_by_the_route(api: FakeApi, error: Exception) -> None:
    body = b'{"ID":"e1","STATUS":"DELIVERED"}'
    headers = {"x-signature": _signature(body)}
    api.events.error = error
    told, response = _begin(api, WEBHOOK, body, headers), _route(api, WEBHOOK, body, headers)
    assert told is not None
    assert (told.status, told.body) == (response.status_code, response.json)


def test_a_body_over_the_limit_goes_the_ordinary_way(start: Start) -> None:
    api = start(config="[api]\nmax_body_bytes = 1024")
    _introduce(api)
    body = json.dumps({**VALID, "message": "x" * 2000}).encode()
    assert _begin(api, "/send", body, {}) is None


def test_the_bytes_of_an_answer_are_those_of_the_route(api: FakeApi) -> None:
    told = Told(HTTPStatus.ACCEPTED, {"status": "accepted", "request_id": "e1"}, {"Location": "/status/e1"})
    head, _, body = told.in_bytes(closes=False).partition(b"\r\n\r\n")
    with api.app.test_request_context():
        assert body == told.response().data
    assert head.startswith(b"HTTP/1.1 202 ACCEPTED\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def test_what_is_over_its_rate_is_left_before_its_body_is_read(api: FakeApi) -> None:
    token = _with_key(api, tenant=Tenant(tenant_id="acme", rate=Rate(per_second=1, burst=1)))
    _introduce(api, x_api_key=token)
    assert _send(api, x_api_key=token) is None
    response = _route(api, "/send", json.dumps(VALID).encode(), {"x-api-key": token})
    assert response.status_code == 429
