import hashlib
import hmac

import pytest
from werkzeug.test import TestResponse

from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.domain.reports import Report
from tests.unit.api.fakes import FakeApi, Start

PATH = "/webhooks/mail-delivery-service"
BODY = b'{"ID":"e1","STATUS":"DELIVERED"}'


def _signed(api: FakeApi, raw: bytes = BODY, *, secret: str = "secret") -> TestResponse:
    signature = "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return api.client.post(PATH, data=raw, headers={"X-Signature": signature})


def test_a_signed_report_is_recorded(api: FakeApi) -> None:
    response = _signed(api)
    assert (response.status_code, response.json) == (200, {"status": "recorded"})
    (event,) = api.events.recorded
    assert (event.email_id, event.report) == ("e1", Report.DELIVERED)


def test_a_retired_secret_still_works_while_it_is_listed(start: Start) -> None:
    api = start(WEBHOOK_SECRETS="new,old")
    assert [_signed(api, secret=secret).status_code for secret in ("new", "old", "older")] == [200, 200, 401]


@pytest.mark.parametrize("signature", [None, "", "sha256=00", "sha256=\u00e9"], ids=ascii)
def test_an_unsigned_report_is_refused_and_not_recorded(api: FakeApi, signature: str | None) -> None:
    headers = {} if signature is None else {"X-Signature": signature}
    response = api.client.post(PATH, data=BODY, headers=headers)
    assert response.status_code == 401
    assert response.json == {"status": "denied", "reason": "missing or wrong X-Signature"}
    assert api.events.recorded == []


def test_without_secrets_every_report_is_refused(start: Start) -> None:
    assert _signed(start(WEBHOOK_SECRETS=""), secret="").status_code == 401


def test_a_provider_that_cant_sign_has_a_token_in_its_path(api: FakeApi) -> None:
    assert api.client.post(f"{PATH}/token", data=BODY).status_code == 200
    assert len(api.events.recorded) == 1


@pytest.mark.parametrize("token", ["toke", "token1", "TOKEN", "%20token", "\u00e9"], ids=ascii)
def test_a_wrong_token_is_refused(api: FakeApi, token: str) -> None:
    response = api.client.post(f"{PATH}/{token}", data=BODY)
    assert (response.status_code, response.json) == (401, {"status": "denied", "reason": "wrong token"})


def test_without_tokens_every_token_is_wrong(start: Start) -> None:
    api = start(WEBHOOK_PATH_TOKENS="")
    assert api.client.post(f"{PATH}/x", data=BODY).status_code == 401


def test_a_signature_is_no_token_and_a_token_no_signature(api: FakeApi) -> None:
    assert api.client.post(PATH, data=BODY, headers={"X-Signature": "token"}).status_code == 401
    assert api.client.post(f"{PATH}/secret", data=BODY).status_code == 401


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "body is not JSON"),
        (b'{"STATUS":"DELIVERED"}', "missing or wrong ID field"),
        (b'{"ID":"e1","STATUS":"OPENED"}', "STATUS must be one of DELIVERED, REJECTED, FAILED"),
    ],
)
def test_a_report_that_cant_be_read_is_denied_with_the_reason(api: FakeApi, raw: bytes, reason: str) -> None:
    response = _signed(api, raw)
    assert (response.status_code, response.json) == (400, {"status": "denied", "reason": reason})


@pytest.mark.parametrize("error", [StoreUnavailable("x"), StoreOutcomeUnknown("x")], ids=repr)
def test_a_report_that_may_not_be_kept_must_be_sent_again(api: FakeApi, error: Exception) -> None:
    api.events.error = error
    response = _signed(api)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
