import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.contract.fields import MAX_ADDRESS, MAX_SUBJECT
from delivery.contract.send import SendContract
from delivery.contract.times import MAX_TTL_SECONDS
from delivery.domain.emails import EmailRequest
from delivery.domain.errors import InvalidRequest
from delivery.domain.lanes import Lane, OnUnknown
from tests.unit.delivery.builders import NOW, seconds

PLAIN = SendContract(extra_fields=frozenset())
EXTENDED = SendContract(extra_fields=frozenset({"subject", "text"}))
VALID = {"sender": "shop@example.com", "recipient": "ann@example.com", "message": "Hello"}
LINE_BREAKS = ["\r", "\n", "\r\n", "\0", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


def _body(**fields: Any) -> bytes:
    return json.dumps({**VALID, **fields}).encode()


def _parse(raw: bytes, *, contract: SendContract = EXTENDED, lane: Lane | None = None) -> EmailRequest:
    return contract.parse(raw, now=NOW, lane=lane)


def _reason(raw: bytes, *, contract: SendContract = EXTENDED, lane: Lane | None = None) -> str:
    with pytest.raises(InvalidRequest) as refused:
        _parse(raw, contract=contract, lane=lane)
    return str(refused.value)


# What is taken


def test_the_smallest_request_gets_the_defaults() -> None:
    request = _parse(_body())
    assert request.content.sender == "shop@example.com"
    assert request.content.recipient == "ann@example.com"
    assert request.content.message == "Hello"
    assert request.content.subject is None
    assert request.content.text is None
    assert (request.lane, request.priority, request.expires_at) == (Lane.TRANSACTIONAL, 1, None)


def test_every_field_is_taken() -> None:
    request = _parse(_body(subject="Hi", text="plain", lane="bulk", priority=3, ttl=60))
    assert (request.content.subject, request.content.text) == ("Hi", "plain")
    assert (request.lane, request.priority) == (Lane.BULK, 3)
    assert request.expires_at == NOW + seconds(60)


def test_an_email_is_scheduled_and_its_ttl_counts_from_then() -> None:
    request = _parse(_body(send_at="2026-03-02T13:00:00+01:00", ttl=60))
    assert request.send_at == NOW + timedelta(days=1)
    assert request.expires_at == NOW + timedelta(days=1, seconds=60)


def test_a_time_that_has_passed_means_at_once() -> None:
    assert _parse(_body(send_at="2026-03-01T11:59:59Z")).send_at is None


def test_a_time_to_send_at_is_within_ninety_days() -> None:
    assert _reason(_body(send_at="2026-06-01T12:00:00Z")) == "send_at is more than 90 days ahead"


def test_two_requests_that_are_to_be_sent_at_other_times_are_not_the_same() -> None:
    bodies = [_body(), _body(send_at="2026-03-02T13:00:00Z"), _body(send_at="2026-03-02T14:00:00Z")]
    assert len({EXTENDED.fingerprint(body) for body in bodies}) == 3


@pytest.mark.parametrize("lane", list(Lane))
def test_every_lane_can_be_asked_for(lane: Lane) -> None:
    assert _parse(_body(lane=lane)).lane is lane


def test_what_to_do_about_an_unknown_outcome_can_be_asked_for() -> None:
    request = _parse(_body(on_unknown="resend", unknown_deadline=90))
    assert (request.on_unknown, request.unknown_deadline) == (OnUnknown.RESEND, seconds(90))
    assert _parse(_body(on_unknown="hold")).on_unknown is OnUnknown.HOLD


def test_who_asks_for_nothing_gets_what_the_lane_does() -> None:
    request = _parse(_body())
    assert (request.on_unknown, request.unknown_deadline) == (None, None)


@pytest.mark.parametrize("message", ["two\r\nlines", "ünï – 😀", "\0", " a ", "x" * 100_000])
def test_a_message_is_taken_as_it_is(message: str) -> None:
    assert _parse(_body(message=message)).content.message == message


@pytest.mark.parametrize(
    "address",
    ["a@b.example", "ann+tag.with-all_sorts@sub.example.com", "fault+slow.2@example.com", "jörg@exämple.de"],
)
def test_an_address_is_taken_as_it_was_written(address: str) -> None:
    assert _parse(_body(recipient=address)).content.recipient == address


def test_an_expiry_with_any_offset_becomes_utc() -> None:
    assert _parse(_body(expires_at="2026-03-01T14:30:00+02:00")).expires_at == datetime(
        2026, 3, 1, 12, 30, tzinfo=UTC
    )
    assert _parse(_body(expires_at="2026-03-01T12:30:00Z")).expires_at == NOW + timedelta(minutes=30)


# What is refused, and what the caller reads


@pytest.mark.parametrize("field", ["sender", "recipient", "message"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "{field} is empty"),
        (" \t\n", "{field} is empty"),
        (None, "{field} must not be null"),
        (1, "{field} must be a string"),
        (1.5, "{field} must be a string"),
        (True, "{field} must be a string"),
        (["a@b.example"], "{field} must be a string"),
        ({"a": "b"}, "{field} must be a string"),
    ],
)
def test_a_required_field_must_be_a_text_that_is_not_empty(field: str, given: object, reason: str) -> None:
    assert _reason(_body(**{field: given})) == reason.format(field=field)


@pytest.mark.parametrize("field", ["sender", "recipient", "message"])
def test_a_missing_field_is_named(field: str) -> None:
    others = {name: value for name, value in VALID.items() if name != field}
    assert _reason(json.dumps(others).encode()) == f"missing {field} field"


def test_of_several_faults_the_first_field_is_named() -> None:
    assert _reason(b"{}") == "missing sender field"
    assert _reason(b'{"sender":"shop@example.com","message":1}') == "missing recipient field"


@pytest.mark.parametrize("field", ["sender", "recipient"])
@pytest.mark.parametrize(
    "address",
    [
        "ann",
        "@example.com",
        "ann@",
        "ann@@example.com",
        "ann@example..com",
        "ann@example.com,bob@example.com",
        "Ann <ann@example.com>",
        "ann @example.com",
        "ann@-example.com",
        "ann@[127.0.0.1]",
    ],
)
def test_a_bad_address_is_refused(field: str, address: str) -> None:
    assert _reason(_body(**{field: address})) == f"{field} is not a valid email address"


@pytest.mark.parametrize("field", ["sender", "recipient"])
def test_an_overlong_address_is_refused(field: str) -> None:
    address = f"ann@{'a.' * 130}example"
    assert _reason(_body(**{field: address})) == f"{field} is longer than {MAX_ADDRESS} characters"


@pytest.mark.parametrize("field", ["sender", "recipient", "subject"])
@pytest.mark.parametrize("line_break", LINE_BREAKS, ids=ascii)
@pytest.mark.parametrize(
    "place", ["{0}ann@example.com", "ann@example.com{0}", "ann@example.com{0}Bcc: x@example.com"]
)
def test_what_ends_up_in_a_header_holds_no_line_break(field: str, line_break: str, place: str) -> None:
    assert _reason(_body(**{field: place.format(line_break)})) == f"{field} must not contain line breaks"


@pytest.mark.parametrize("field", ["sender", "recipient", "message", "subject", "text"])
def test_a_lone_surrogate_is_refused(field: str) -> None:
    raw = json.dumps({**VALID, field: "x@example.com\ud800"}).encode()
    assert _reason(raw) == f"{field} has characters that are not valid Unicode"


def test_an_overlong_subject_is_refused() -> None:
    assert _parse(_body(subject="x" * MAX_SUBJECT)).content.subject == "x" * MAX_SUBJECT
    assert _reason(_body(subject="x" * (MAX_SUBJECT + 1))) == "subject is longer than 998 characters"


@pytest.mark.parametrize("field", ["subject", "text"])
def test_an_extra_field_is_denied_by_name_where_the_provider_cant_carry_it(field: str) -> None:
    assert _reason(_body(**{field: "x"}), contract=PLAIN) == f"{field} field is not supported by the provider"
    only_the_other = SendContract(extra_fields=frozenset({"subject", "text"}) - {field})
    assert (
        _reason(_body(**{field: "x"}), contract=only_the_other)
        == f"{field} field is not supported by the provider"
    )


@pytest.mark.parametrize("given", ["urgent", "", "BULK", 1, True, ["bulk"], {}])
def test_a_lane_is_one_of_four(given: object) -> None:
    raw = _body(lane=given)
    assert _reason(raw) == "lane must be one of critical, transactional, standard, bulk"


@pytest.mark.parametrize("given", [-1, 4, 1.5, 1e400, "1", True, False, 10**100, [1]])
def test_a_priority_is_a_whole_number_from_0_to_3(given: object) -> None:
    raw = json.dumps({**VALID, "priority": given}).replace("Infinity", "1e400").encode()
    assert _reason(raw) == "priority must be a whole number between 0 and 3"


def test_a_number_may_be_written_with_a_point() -> None:
    assert _parse(_body(priority=3.0)).priority == 3


@pytest.mark.parametrize("given", [0, -1, MAX_TTL_SECONDS + 1, 10**30, 0.5, "60", True])
def test_a_ttl_is_a_whole_number_of_seconds_up_to_ninety_days(given: object) -> None:
    assert _reason(_body(ttl=given)) == f"ttl must be a whole number between 1 and {MAX_TTL_SECONDS}"


@pytest.mark.parametrize(
    "given",
    [
        "tomorrow",
        "",
        "2030-01-31",
        "2030-01-31T12:00:00",
        "12:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        1900000000,
        True,
        ["x"],
    ],
)
def test_an_expiry_is_a_time_with_its_offset(given: object) -> None:
    expected = "expires_at must be a time with its offset, such as 2030-01-31T12:00:00Z"
    assert _reason(_body(expires_at=given)) == expected


@pytest.mark.parametrize("given", ["2026-03-01T12:00:00Z", "2026-03-01T11:59:59Z", "1970-01-01T00:00:00Z"])
def test_an_expiry_lies_in_the_future(given: str) -> None:
    assert _reason(_body(expires_at=given)) == "expires_at is in the past"


def test_an_expiry_is_given_in_one_way() -> None:
    assert _reason(_body(expires_at="2030-01-01T00:00:00Z", ttl=5)) == "give expires_at or ttl, not both"


@pytest.mark.parametrize(
    "field",
    ["subject", "text", "lane", "priority", "send_at", "expires_at", "ttl", "on_unknown", "unknown_deadline"],
)
def test_an_optional_field_is_left_out_rather_than_null(field: str) -> None:
    raw = _body(**{field: None})
    assert _reason(raw) == f"{field} must not be null"


@pytest.mark.parametrize("field", ["cc", "Sender", "sender ", "_schema", "", "\ud800", "x" * 1000])
def test_an_unknown_field_is_named(field: str) -> None:
    raw = _body(**{field: "x"})
    assert _reason(raw) == f"unknown field {field[:100]!r}"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"sender=ann",
        b"{",
        b'{"sender": }',
        b"\xff\xfe\xfd",
        b'{"sender": "\xc3"}',
        b'{"priority": NaN}',
        b'{"priority": Infinity}',
        b'{"priority": -Infinity}',
        b'{"priority": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda raw: ascii(raw[:20]),
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    assert _reason(raw) == "body is not JSON"


def test_a_body_that_is_nested_too_deep_or_has_too_many_values_is_denied() -> None:
    assert _reason(b'{"message": ' + b"[" * 1000) == "body is nested deeper than 32 levels"
    assert _reason(b'{"message": ' + b"[" * 100_000) == "body has more than 20000 values"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b'{"recipient": "ann@example.com", "recipient": "bob@example.com"}', "recipient"),
        (b'{"lane": "bulk", "lane": "bulk"}', "lane"),
        (b'{"lane": "bulk", "l\\u0061ne": "critical"}', "lane"),
        (b'{"unknown": 1, "unknown": 2}', "unknown"),
        (b'{"message": {"to": 1, "to": 2}}', "to"),
    ],
)
def test_a_field_that_is_given_twice_is_denied_by_name(raw: bytes, name: str) -> None:
    assert _reason(raw) == f"field '{name}' is given more than once"


@pytest.mark.parametrize("raw", [b"[]", b'"text"', b"1", b"null", b"true", b"[{}]"])
def test_json_that_is_no_object_is_refused(raw: bytes) -> None:
    assert _reason(raw) == "body must be a JSON object"


@pytest.mark.parametrize("given", ["", "retry", "RESEND", 1, True, ["hold"]])
def test_an_unknown_outcome_is_resent_or_held(given: object) -> None:
    assert _reason(_body(on_unknown=given)) == "on_unknown must be one of resend, hold"


@pytest.mark.parametrize("given", [0, -1, 1.5, "60", True, MAX_TTL_SECONDS + 1])
def test_the_deadline_of_an_unknown_outcome_is_in_whole_seconds(given: object) -> None:
    reason = f"unknown_deadline must be a whole number between 1 and {MAX_TTL_SECONDS}"
    assert _reason(_body(unknown_deadline=given)) == reason


# The lane that the routing key determines


def test_the_routing_keys_lane_counts_when_the_body_names_none() -> None:
    assert _parse(_body(), lane=Lane.BULK).lane is Lane.BULK


def test_the_body_may_say_the_same_lane_again() -> None:
    assert _parse(_body(lane="bulk"), lane=Lane.BULK).lane is Lane.BULK


def test_a_body_that_contradicts_the_routing_key_is_refused() -> None:
    reason = _reason(_body(lane="critical"), lane=Lane.BULK)
    assert reason == "lane is critical in the body but bulk in the routing key"


# Whatever comes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    ["sender", "recipient", "message", "subject", "text", "lane", "priority", "expires_at", "ttl"]
)


def _taken_or_refused(raw: bytes) -> None:
    """Anything but InvalidRequest is an answer 500, or a message that breaks its consumer."""
    try:
        said = _parse(raw).content.recipient
    except InvalidRequest as error:
        said = str(error)
    assert 0 < len(said.encode()) < 1000


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_random_bytes_are_refused_with_a_reason(raw: bytes) -> None:
    _taken_or_refused(raw)


@given(JSON)
@settings(max_examples=200)
def test_random_json_is_refused_with_a_reason(body: Any) -> None:
    _taken_or_refused(json.dumps(body).encode())


@given(st.dictionaries(FIELDS, JSON | st.text(max_size=300), max_size=9))
@settings(max_examples=300)
def test_random_values_in_the_known_fields_are_taken_or_refused_with_a_reason(fields: dict[str, Any]) -> None:
    _taken_or_refused(json.dumps({**VALID, **fields}).encode())


@given(st.text(alphabet=st.characters(), max_size=70), st.text(alphabet=st.characters(), max_size=200))
@settings(max_examples=300)
def test_random_addresses_are_taken_or_refused_with_a_reason(local: str, domain: str) -> None:
    _taken_or_refused(json.dumps({**VALID, "recipient": f"{local}@{domain}"}).encode())
