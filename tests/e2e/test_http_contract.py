"""What callers of the real API read: each refusal with status and reason, in JSON, and nothing private."""

import json
import socket
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from stack.part import Part
from tests.e2e.conftest import Whole
from tests.harness.api import Api, email

KEY = "a-key-that-must-not-be-logged"
TOKEN = "a-token-that-must-not-be-logged"
SECRET_WORDS = "words-that-must-not-be-logged"
ADDRESS = "private.person@example.com"
LIMIT = 1024 * 1024
SEND = b"POST /send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n"


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    """No consumers: nothing here is about what becomes of an email."""
    started: Whole = start_whole(consumers=0, api_key=KEY, env={"WEBHOOK_PATH_TOKENS": TOKEN})
    return started


@pytest.fixture
def api(whole: Whole) -> Api:
    return whole.system.api


@pytest.fixture(scope="module")
def keyless(start_whole: Callable[..., Whole]) -> Whole:
    started: Whole = start_whole(consumers=0)
    return started


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def raw(whole: Whole, request: bytes) -> Answer:
    """Send bytes that no client library would, and read one answer."""
    with socket.create_connection(("127.0.0.1", whole.system.wiring.api_port), timeout=30) as connection:
        connection.sendall(request)
        reader = connection.makefile("rb")
        status = int(reader.readline().split()[1])
        headers = {}
        while (line := reader.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return Answer(status, headers, reader.read(int(headers["content-length"])))


def refused(response: requests.Response, status: int, reason: str) -> None:
    assert (response.status_code, response.json()) == (status, {"status": "denied", "reason": reason})
    assert response.headers["Content-Type"] == "application/json"


# POST /send


def test_what_is_accepted_gets_an_id_to_ask_with(api: Api) -> None:
    response = api.post(email(recipient=ADDRESS, message=SECRET_WORDS, lane="bulk", priority=0, ttl=60))
    assert response.status_code == 202
    request_id = response.json()["request_id"]
    assert response.json() == {"status": "accepted", "request_id": request_id}
    assert uuid.UUID(request_id).version == 7
    assert response.headers["Location"] == f"/status/{request_id}"
    assert api.status(request_id)["detail"] == "queued"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recipient": ""}, "recipient is empty"),
        ({"sender": None}, "sender must not be null"),
        ({"message": 5}, "message must be a string"),
        ({"recipient": "private.person"}, "recipient is not a valid email address"),
        ({"recipient": f"{ADDRESS}\r\nBcc: x@example.com"}, "recipient must not contain line breaks"),
        ({"sender": f"{ADDRESS}\n"}, "sender must not contain line breaks"),
        ({"bcc": ADDRESS}, "unknown field 'bcc'"),
        ({ADDRESS: "x"}, f"unknown field '{ADDRESS}'"),
        ({"subject": SECRET_WORDS}, "subject field is not supported by the provider"),
        ({"lane": "urgent"}, "lane must be one of critical, transactional, standard, bulk"),
        ({"priority": True}, "priority must be a whole number between 0 and 3"),
        ({"ttl": 0}, "ttl must be a whole number between 1 and 7776000"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at is in the past"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_an_invalid_email_is_refused_with_its_reason(
    api: Api, changes: dict[str, object], reason: str
) -> None:
    refused(api.post(email(**changes)), 400, reason)


def test_a_missing_field_is_named(api: Api) -> None:
    refused(api.post({"sender": ADDRESS, "message": SECRET_WORDS}), 400, "missing recipient field")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "body is not JSON"),
        (b'{"sender": "private.person@example.com"', "body is not JSON"),
        (b"\xff\xfe", "body is not JSON"),
        (b"[" * 1000, "body is nested deeper than 32 levels"),
        (b"[" * 100_000, "body has more than 20000 values"),
        (b'{"priority": NaN}', "body is not JSON"),
        (b"[]", "body must be a JSON object"),
        (
            b'{"recipient": "a@example.com", "recipient": "b@example.com"}',
            "field 'recipient' is given more than once",
        ),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_body_that_is_no_json_object_is_refused(api: Api, body: bytes, reason: str) -> None:
    headers = {"Content-Type": "application/json"}
    refused(api.request("POST", "/send", data=body, headers=headers), 400, reason)


def test_a_body_that_does_not_say_it_is_json_is_refused(api: Api) -> None:
    response = api.request("POST", "/send", data={"sender": ADDRESS})
    refused(response, 400, "Content-Type must be application/json")


@pytest.mark.parametrize("size", [LIMIT, 3 * LIMIT])
def test_a_body_over_the_limit_is_refused_whole_or_in_chunks(api: Api, size: int) -> None:
    body = json.dumps(email(message="x" * size)).encode()
    headers = {"Content-Type": "application/json"}

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    for data in (body, chunks()):
        refused(api.request("POST", "/send", data=data, headers=headers), 413, "body is too large")


def test_a_large_body_within_the_limit_is_taken_whole_or_in_chunks(api: Api) -> None:
    body = json.dumps(email(message="x" * (LIMIT - 1000))).encode()
    headers = {"Content-Type": "application/json"}
    for data in (body, iter([body[:500_000], body[500_000:]])):
        assert api.request("POST", "/send", data=data, headers=headers).status_code == 202


def test_a_length_that_promises_too_much_is_refused_before_anything_is_read(whole: Whole) -> None:
    head = (
        f"POST /send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    )
    answer = raw(whole, f"{head}Content-Length: {10**12}\r\n\r\n".encode())
    assert (answer.status, answer.json["reason"]) == (413, "body is too large")


# GET /status


def test_an_unknown_id_is_404_and_a_malformed_one_400(api: Api) -> None:
    for form in ("/status/{}", "/status?request_id={}"):
        refused(api.request("GET", form.format(uuid.uuid4())), 404, "unknown request_id")
        refused(api.request("GET", form.format("x")), 400, "request_id is not a UUID")
    refused(api.request("GET", "/status"), 400, "missing request_id")


def test_an_email_can_be_asked_about_by_path_and_by_query(api: Api) -> None:
    request_id = api.send(recipient=ADDRESS)
    by_path = api.request("GET", f"/status/{request_id}")
    by_query = api.request("GET", f"/status?request_id={request_id}")
    assert by_path.status_code == 200
    assert by_path.json() == by_query.json()
    assert (by_path.json()["request_id"], by_path.json()["status"]) == (request_id, "processing")
    assert ADDRESS not in by_path.text


# Who may call


@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY} x"])
def test_without_a_key_nobody_sends_or_asks(whole: Whole, header: str | None) -> None:
    stranger = Api(whole.system.wiring.api_url)
    headers = {"Authorization": header} if header else {}
    for method, path in [("POST", "/send"), ("GET", f"/status/{uuid.uuid4()}"), ("GET", "/nothing")]:
        response = stranger.request(method, path, headers=headers, json=email() if method == "POST" else None)
        reason = "missing or wrong API key; send it as 'Authorization: Bearer <key>'"
        refused(response, 401, reason)
        assert response.headers["WWW-Authenticate"] == "Bearer"
    stranger.close()


def test_without_keys_a_forwarded_request_is_refused(keyless: Whole) -> None:
    api = keyless.system.api
    assert api.post(email()).status_code == 202
    response = api.post(email(), X_Forwarded_For="127.0.0.1")
    refused(response, 403, "without API keys, forwarded requests are refused")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"Host: rebound.example.com", "the Host must be localhost, 127.0.0.1 or [::1]"),
        (b"Host: localhost\r\nOrigin: https://example.com", "pages from elsewhere may not call"),
        (b"Host: localhost\r\nTrue-Client-IP: 127.0.0.1", "forwarded requests are refused"),
    ],
)
def test_without_keys_a_browser_on_this_machine_is_no_way_in(
    keyless: Whole, header: bytes, reason: str
) -> None:
    answer = raw(keyless, b"GET /status HTTP/1.1\r\n" + header + b"\r\n\r\n")
    assert (answer.status, answer.json["reason"]) == (403, f"without API keys, {reason}")


def test_webhooks_are_for_the_provider_alone(api: Api) -> None:
    path = "/webhooks/mail-delivery-service"
    report = {"ID": str(uuid.uuid4()), "STATUS": "DELIVERED"}
    refused(api.request("POST", path, json=report), 401, "missing or wrong X-Signature")
    refused(api.request("POST", f"{path}/wrong", json=report), 401, "wrong token")
    assert api.request("POST", f"{path}/{TOKEN}", json=report).json() == {"status": "recorded"}
    refused(api.request("POST", f"{path}/{TOKEN}", data=ADDRESS), 400, "body is not JSON")


# Health


def test_health_is_open_and_says_which_part_is_away(whole: Whole) -> None:
    anybody = Api(whole.system.wiring.api_url)
    assert anybody.request("GET", "/livez").json() == {"status": "alive"}
    ready = anybody.request("GET", "/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert (ready.json()["store"], ready.json()["broker"]) == ("reachable", "connected")
    anybody.close()


# Where nothing is, and what is no HTTP


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/", 404, "not found"),
        ("GET", f"/{ADDRESS}", 404, "not found"),
        ("GET", "/%ff%fe", 404, "not found"),
        ("GET", "/livez//", 404, "not found"),
        ("GET", "/send", 405, "method not allowed"),
        ("PUT", "/status", 405, "method not allowed"),
        ("OPTIONS", "/send", 405, "method not allowed"),
        ("BREW", "/livez", 405, "method not allowed"),
    ],
)
def test_where_nothing_is_the_answer_is_json(
    whole: Whole, method: str, path: str, status: int, reason: str
) -> None:
    answer = raw(
        whole, f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
    )
    assert (answer.status, answer.json) == (status, {"status": "denied", "reason": reason})
    assert answer.headers["content-type"] == "application/json"


def test_line_breaks_in_a_path_end_up_in_no_header(whole: Whole) -> None:
    path = "/status/x%0d%0aSet-Cookie:%20a=b"
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    answer = raw(whole, head.encode())
    assert (answer.status, answer.json["reason"]) == (400, "request_id is not a UUID")
    assert "set-cookie" not in answer.headers


CHUNKED = SEND + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "no HTTP at all": (b"private.person@example.com\r\n\r\n", 400),
    "a version that is none": (b"GET / HTTP/9.9\r\n\r\n", 400),
    "a method that is none": (b"get / HTTP/1.1\r\n\r\n", 400),
    "a blank before the colon": (b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "a bare LF in a header": (b"GET /livez HTTP/1.1\r\nX: a\nEvil: b\r\n\r\n", 400),
    "a bare CR in a header": (b"GET /livez HTTP/1.1\r\nX: a\rEvil: b\r\n\r\n", 400),
    "a NUL in a header": (b"GET /livez HTTP/1.1\r\nX: a\0b\r\n\r\n", 400),
    "a folded header": (b"GET /livez HTTP/1.1\r\nX: a\r\n b\r\n\r\n", 400),
    "a line too long": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
    "a header too long": (b"GET /livez HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    "too many headers": (b"GET /livez HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
    "a length that is none": (SEND + b"Content-Length: abc\r\n\r\n", 400),
    "a negative length": (SEND + b"Content-Length: -1\r\n\r\n", 400),
    "a length and chunks": (SEND + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a coding nobody knows": (SEND + b"Transfer-Encoding: rot13\r\n\r\n", 501),
    "an expectation nobody knows": (SEND + b"Expect: wonders\r\nContent-Length: 0\r\n\r\n", 417),
    "a chunk whose size is none": (CHUNKED + b"zz\r\nprivate.person@example.com\r\n0\r\n\r\n", 400),
    "a chunk that is too long": (CHUNKED + b"2\r\nprivate.person@example.com\r\n0\r\n\r\n", 400),
}


@pytest.mark.parametrize(("request_bytes", "status"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_http_is_refused_in_json(whole: Whole, request_bytes: bytes, status: int) -> None:
    answer = raw(whole, request_bytes)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["status"] == ("error" if status >= 500 else "denied")
    assert answer.json["reason"]


def test_after_all_that_it_serves_on(whole: Whole) -> None:
    assert whole.system.api_process.running()
    assert whole.system.api.post(email()).status_code == 202


# This one comes last: it looks back at what the tests above sent.


def test_no_log_holds_an_address_a_body_a_key_or_a_token(whole: Whole, keyless: Whole) -> None:
    parts: list[Part] = [*whole.system.parts, *keyless.system.parts]
    logs = "\n".join(part.log.read_text(encoding="utf-8", errors="replace") for part in parts)
    assert "request not answered by the app" in logs
    wiring = whole.system.wiring
    private = [ADDRESS, "ann@example.com", SECRET_WORDS, KEY, TOKEN, wiring.webhook_secrets]
    private += [wiring.recipient_hash_key, wiring.amqp_url]
    assert not [word for word in private if word in logs]
    assert "Traceback" not in logs
