import hashlib
import hmac
import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.errors import InvalidRequest, NotAuthenticated
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.reports import Report
from delivery.domain.unknowns import Found
from delivery.http.connection import CallFailed
from delivery.providers.mail_delivery_service import (
    parse_events,
    read_answer,
    read_failure,
    read_look_up,
    verify,
)
from delivery.use_cases.ask_about_emails import LookUp

ACCEPTED = b'{"STATUS":"ACCEPTED"}'
ERROR = b'{"STATUS":"ERROR"}'
HTML = b"<html>Bad gateway</html>"
O = Outcome  # noqa: E741 - it heads a table

# The provider's table, row by row
ANSWERS = [
    # 2xx and its accepting body
    (200, ACCEPTED, O.ACCEPTED),
    (201, ACCEPTED, O.ACCEPTED),
    (202, ACCEPTED, O.ACCEPTED),
    (200, b' {"STATUS": "ACCEPTED", "more": 1}\n', O.ACCEPTED),
    # a no to this email
    (400, b'{"errors":["bad recipient"]}', O.REJECTED),
    (400, ERROR, O.REJECTED),
    (413, HTML, O.REJECTED),
    (422, b"", O.REJECTED),
    # its quota
    (429, b"", O.THROTTLED),
    (429, ERROR, O.THROTTLED),
    # our credential or address is wrong
    (401, HTML, O.MISCONFIGURED),
    (403, b"", O.MISCONFIGURED),
    (404, HTML, O.MISCONFIGURED),
    (405, b"", O.MISCONFIGURED),
    (301, b"", O.MISCONFIGURED),
    (302, HTML, O.MISCONFIGURED),
    (307, b"", O.MISCONFIGURED),
    (308, b"", O.MISCONFIGURED),
    # definitely not now
    (408, b"", O.UNAVAILABLE),
    (503, HTML, O.UNAVAILABLE),
    (503, ERROR, O.UNAVAILABLE),
    (500, ERROR, O.UNAVAILABLE),
    (200, ERROR, O.UNAVAILABLE),
    # a gateway's word, or a body that is not its own: nobody knows
    (502, HTML, O.UNKNOWN),
    (504, HTML, O.UNKNOWN),
    (504, ERROR, O.UNKNOWN),
    (500, HTML, O.UNKNOWN),
    (500, b"", O.UNKNOWN),
    (500, ACCEPTED, O.UNKNOWN),
    (599, b"", O.UNKNOWN),
    (200, HTML, O.UNKNOWN),
    (200, b"", O.UNKNOWN),
    (200, b"ACCEPTED", O.UNKNOWN),
    (200, b'"ACCEPTED"', O.UNKNOWN),
    (200, b'{"STATUS":"accepted"}', O.UNKNOWN),
    (200, b'{"status":"ACCEPTED"}', O.UNKNOWN),
    (200, b'{"STATUS":"QUEUED"}', O.UNKNOWN),
    (200, b'{"STATUS":["ACCEPTED"]}', O.UNKNOWN),
    (200, b'["ACCEPTED"]', O.UNKNOWN),
    (200, b'{"STATUS":"ACCEPTED"', O.UNKNOWN),
    (200, b"\xff\xfe", O.UNKNOWN),
    (200, b"[" * 100_000, O.UNKNOWN),
    (204, b"", O.UNKNOWN),
    (100, b"", O.UNKNOWN),
    (600, b"", O.UNKNOWN),
    # a no that says nothing about this email
    (402, b"", O.UNAVAILABLE),
    (418, HTML, O.UNAVAILABLE),
    (425, b"", O.UNAVAILABLE),
]


@pytest.mark.parametrize(("status", "body", "outcome"), ANSWERS, ids=lambda value: ascii(value)[:40])
def test_what_an_answer_means(status: int, body: bytes, outcome: Outcome) -> None:
    assert read_answer(status, body, {}).outcome is outcome


@given(st.integers(100, 999), st.binary(max_size=100))
def test_an_answer_means_accepted_only_if_it_says_so(status: int, body: bytes) -> None:
    if read_answer(status, body, {}).outcome is Outcome.ACCEPTED:
        assert 200 <= status < 300
        assert json.loads(body)["STATUS"] == "ACCEPTED"


def test_an_answers_detail_holds_nothing_of_what_the_provider_wrote() -> None:
    body = b'{"STATUS":"ann@example.com is unknown here"}'
    assert read_answer(400, body, {}).detail == "HTTP 400"
    assert read_answer(500, ERROR, {}).detail == "HTTP 500 ERROR"


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None),
        ("0", timedelta(0)),
        ("120", timedelta(minutes=2)),
        ("86401", timedelta(days=1)),
        ("9" * 400, timedelta(days=1)),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("²", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_the_wait_that_is_asked_for_is_in_seconds_and_bounded(
    header: str | None, wait: timedelta | None
) -> None:
    headers = {} if header is None else {"Retry-After": header}
    assert read_answer(429, b"", headers).retry_after == wait


# Calls that brought no answer


@pytest.mark.parametrize("kind", ["ConnectionRefusedError", "gaierror", "TimeoutError"])
def test_what_never_reached_the_provider_is_unavailable(kind: str) -> None:
    answer = read_failure(CallFailed(kind, is_sent=False))
    assert answer == Answer(Outcome.UNAVAILABLE, f"not connected: {kind}")


@pytest.mark.parametrize("kind", ["ConnectionResetError", "TimeoutError"])
def test_what_was_sent_and_brought_no_answer_is_unknown(kind: str) -> None:
    answer = read_failure(CallFailed(kind, is_sent=True))
    assert answer == Answer(Outcome.UNKNOWN, f"no answer: {kind}")


# What its status endpoint says

UNKNOWN = b'{"STATUS":"UNKNOWN"}'

LOOK_UPS = [
    (200, b'{"request_id":"e1","STATUS":"ACCEPTED"}', Found.ACCEPTED),
    (200, b'{"request_id":"e1","STATUS":"DELIVERED"}', Found.DELIVERED),
    (200, b'{"request_id":"e1","STATUS":"REJECTED"}', Found.REJECTED),
    (200, b'{"request_id":"e1","STATUS":"FAILED"}', Found.FAILED),
    (404, UNKNOWN, Found.NEVER_SEEN),
    # a 404 that is not its own word may be a wrong address, and its own word without the 404 a mistake
    (404, HTML, Found.CANT_TELL),
    (404, b"", Found.CANT_TELL),
    (404, ACCEPTED, Found.CANT_TELL),
    (200, UNKNOWN, Found.CANT_TELL),
    # what it doesn't say in its own words, with its own status, is no news
    (200, b'{"STATUS":"accepted"}', Found.CANT_TELL),
    (200, b'{"STATUS":"QUEUED"}', Found.CANT_TELL),
    (200, b'{"STATUS":["DELIVERED"]}', Found.CANT_TELL),
    (200, b'["DELIVERED"]', Found.CANT_TELL),
    (200, HTML, Found.CANT_TELL),
    (200, b"", Found.CANT_TELL),
    (200, b"[" * 100_000, Found.CANT_TELL),
    (202, b'{"STATUS":"DELIVERED"}', Found.CANT_TELL),
    (301, b"", Found.CANT_TELL),
    (401, HTML, Found.CANT_TELL),
    (500, b'{"STATUS":"FAILED"}', Found.CANT_TELL),
    (500, UNKNOWN, Found.CANT_TELL),
    (502, HTML, Found.CANT_TELL),
    (503, HTML, Found.CANT_TELL),
    (504, HTML, Found.CANT_TELL),
]


@pytest.mark.parametrize(("status", "body", "found"), LOOK_UPS, ids=lambda value: ascii(value)[:40])
def test_what_a_look_up_means(status: int, body: bytes, found: Found) -> None:
    assert read_look_up(status, body, {"Retry-After": "5"}) == LookUp(found)


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("body", [b"", HTML, UNKNOWN, b'{"STATUS":"DELIVERED"}'])
@pytest.mark.parametrize(
    ("told", "pause"),
    [("60", 60), ("1", 1), (None, 300), ("0", 300), ("soon", 300), ("-1", 300), ("9" * 30, 24 * 3600)],
)
def test_a_status_endpoint_that_has_had_enough_is_left_alone(
    status: int, body: bytes, told: str | None, pause: int
) -> None:
    headers = {} if told is None else {"Retry-After": told}
    assert read_look_up(status, body, headers) == LookUp(Found.CANT_TELL, pause=timedelta(seconds=pause))


# Webhooks: who sent them

RAW = b'{"ID":"1","STATUS":"DELIVERED"}'


def _signature(secret: str, raw: bytes = RAW) -> str:
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("signed_with", ["new", "old"])
def test_a_signature_with_any_of_the_secrets_is_taken(signed_with: str) -> None:
    verify(RAW, _signature(signed_with), secrets=("new", "old"))


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=",
        _signature("retired"),
        _signature("new", RAW + b" "),
        _signature("new").removeprefix("sha256="),
        _signature("new").upper(),
        _signature("new") + " ",
        _signature("new")[:-1],
        "sha256=" + "é" * 64,
        "sha256=\ud800",
    ],
    ids=ascii,
)
def test_any_other_signature_is_refused(signature: str | None) -> None:
    with pytest.raises(NotAuthenticated):
        verify(RAW, signature, secrets=("new", "old"))


@pytest.mark.parametrize("signature", [None, "", _signature("")])
def test_without_secrets_nobody_is_believed(signature: str | None) -> None:
    with pytest.raises(NotAuthenticated):
        verify(RAW, signature, secrets=())


# Webhooks: what they say


def _parse(body: object) -> Any:
    return parse_events(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "report"),
    [("DELIVERED", Report.DELIVERED), ("REJECTED", Report.REJECTED), ("FAILED", Report.FAILED)],
)
def test_a_report_becomes_one_event(status: str, report: Report) -> None:
    (event,) = _parse({"ID": "e1", "STATUS": status})
    assert (event.provider, event.email_id, event.report) == ("mail-delivery-service", "e1", report)


def test_a_repeated_delivery_is_the_same_event_however_it_is_spaced() -> None:
    (one,) = parse_events(b'{"ID":"e1","STATUS":"FAILED"}')
    (other,) = parse_events(b' { "STATUS": "FAILED",\n "ID": "e1" } ')
    assert one == other


def test_different_reports_are_different_events() -> None:
    ids = {
        _parse({"ID": email, "STATUS": status, **more})[0].event_id
        for email in ("e1", "e2")
        for status in ("DELIVERED", "FAILED")
        for more in ({}, {"at": 1})
    }
    assert len(ids) == 8


def test_the_raw_report_is_kept_with_fields_that_we_dont_know() -> None:
    (event,) = _parse({"ID": "e1", "STATUS": "FAILED", "WHY": "mailbox full – ünï"})
    assert json.loads(event.raw) == {"ID": "e1", "STATUS": "FAILED", "WHY": "mailbox full – ünï"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "body is not JSON"),
        (b"ID=1", "body is not JSON"),
        (b"\xff", "body is not JSON"),
        (b"[" * 100_000, "body has more than 20000 values"),
        (b"[]", "body must be a JSON object"),
        (b"null", "body must be a JSON object"),
        (b'{"STATUS":"FAILED"}', "missing or wrong ID field"),
        (b'{"ID":"","STATUS":"FAILED"}', "missing or wrong ID field"),
        (b'{"ID":1,"STATUS":"FAILED"}', "missing or wrong ID field"),
        (b'{"ID":"' + b"x" * 201 + b'","STATUS":"FAILED"}', "missing or wrong ID field"),
        (b'{"ID":"e1"}', "STATUS must be one of DELIVERED, REJECTED, FAILED"),
        (b'{"ID":"e1","STATUS":"delivered"}', "STATUS must be one of DELIVERED, REJECTED, FAILED"),
        (b'{"ID":"e1","STATUS":["FAILED"]}', "STATUS must be one of DELIVERED, REJECTED, FAILED"),
        (b'{"ID":"e1","STATUS":"FAILED","x":"\\ud800"}', "body has characters that are not valid Unicode"),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_anything_else_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_events(raw)
    assert str(refused.value) == reason


@pytest.mark.parametrize("depth", range(20, 40))
def test_deep_nesting_is_taken_or_refused(depth: int) -> None:
    raw = b'{"ID":"e1","STATUS":"FAILED","x":' + b"[" * depth + b"]" * depth + b"}"
    _taken_or_refused(raw)


OBJECTS = st.dictionaries(st.text(), st.text() | st.floats() | st.none())


@given(st.binary(max_size=100) | OBJECTS.map(lambda body: json.dumps(body).encode()))
def test_whatever_comes_is_taken_or_refused(raw: bytes) -> None:
    _taken_or_refused(raw)


def _taken_or_refused(raw: bytes) -> None:
    with suppress(InvalidRequest):
        assert parse_events(raw)
