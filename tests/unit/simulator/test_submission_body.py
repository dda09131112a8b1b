import hashlib
import json
from typing import cast

import pytest

from simulator.submission_body import BodyError, SubmissionBody, parse_body

GOOD = {"request_id": "1", "sender": "a@example.com", "recipient": "b@example.com", "message": "hello"}


def mistakes_in(body: object, *, extended: bool = False) -> tuple[str, ...]:
    with pytest.raises(BodyError) as refusal:
        parse_body(json.dumps(body).encode(), extended=extended)
    return refusal.value.mistakes


def test_the_four_fields_make_a_submission() -> None:
    body = parse_body(json.dumps(GOOD).encode(), extended=False)
    assert body == SubmissionBody(
        request_id="1", recipient="b@example.com", message_length=5, recipients=("b@example.com",)
    )


def test_subject_and_text_are_taken_only_when_extended() -> None:
    extended = {**GOOD, "subject": "hi", "text": "hello"}
    assert parse_body(json.dumps(extended).encode(), extended=True).request_id == "1"
    assert mistakes_in(extended) == ("unknown field subject", "unknown field text")


def test_an_extended_submission_keeps_what_is_short_and_the_digest_of_what_is_long() -> None:
    body = {
        **GOOD,
        "html": "<p>hello</p>",
        "to": ["c@example.com"],
        "bcc": ["d@example.com"],
        "headers": {"X-Order": "4711"},
        "attachments": [{"filename": "a.txt", "content": "aGk="}],
    }
    del body["message"]
    read = parse_body(json.dumps(body).encode(), extended=True)
    assert read.recipients == ("b@example.com", "c@example.com", "d@example.com")
    assert read.extra is not None
    assert read.extra["html"] == 12
    (attachment,) = cast(list[dict[str, object]], read.extra["attachments"])
    assert (attachment["size"], attachment["sha256"]) == (2, hashlib.sha256(b"hi").hexdigest())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject", 1),
        ("to", "c@example.com"),
        ("cc", ["c"]),
        ("headers", {"X-A": 1}),
        ("attachments", [{"filename": "a"}]),
        ("attachments", [{"filename": "a", "content": "x"}]),
    ],
)
def test_each_further_field_is_what_it_must_be(field: str, value: object) -> None:
    assert mistakes_in({**GOOD, field: value}, extended=True) == (f"{field} is not what it must be",)


@pytest.mark.parametrize("field", list(GOOD))
def test_each_field_is_required_and_must_not_be_empty(field: str) -> None:
    assert mistakes_in({name: value for name, value in GOOD.items() if name != field}) == (
        f"missing {field}",
    )
    assert mistakes_in({**GOOD, field: ""}) == (f"{field} is empty",)


@pytest.mark.parametrize("value", [1, None, True, ["x"], {}])
def test_each_field_is_text(value: object) -> None:
    assert mistakes_in({**GOOD, "message": value}) == ("message is not text",)


def test_the_recipient_is_an_address() -> None:
    assert mistakes_in({**GOOD, "recipient": "anna"}) == ("recipient is not an address",)


def test_every_mistake_is_named_at_once() -> None:
    assert mistakes_in({"sender": 1, "recipient": "x", "message": "", "colour": "red"}) == (
        "missing request_id",
        "unknown field colour",
        "sender is not text",
        "message is empty",
        "recipient is not an address",
    )


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(BodyError, match="body is not JSON"):
        parse_body(raw, extended=False)


def test_json_that_is_no_object_is_refused() -> None:
    assert mistakes_in(["x"]) == ("body is not a JSON object",)


def test_a_refused_body_keeps_its_request_id_for_the_log() -> None:
    with pytest.raises(BodyError) as refusal:
        parse_body(b'{"request_id": "7"}', extended=False)
    assert refusal.value.request_id == "7"
