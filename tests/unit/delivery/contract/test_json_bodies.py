import json

import pytest

from delivery.contract.json_bodies import MOST_DEPTH, MOST_VALUES, parse_object
from delivery.domain.errors import InvalidRequest

OPENED = b'{"a": ' + b"[" * (MOST_DEPTH - 1)
CLOSED = b"]" * (MOST_DEPTH - 1) + b"}"


def refusal(raw: bytes) -> str:
    with pytest.raises(InvalidRequest) as refused:
        parse_object(raw)
    return str(refused.value)


def test_an_object_is_read() -> None:
    assert parse_object('{"a": ["é", null, {"b": 1.5}]}'.encode()) == {"a": ["é", None, {"b": 1.5}]}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": 1e999999999999x}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xff"}',
        b'{"a": ' + b"1" * 5000 + b"}",
        b"[" * 20 + b'"',
    ],
    ids=lambda raw: ascii(raw)[:20],
)
def test_what_is_no_json_in_utf_8_is_refused(raw: bytes) -> None:
    assert refusal(raw) == "body is not JSON"


def test_what_is_no_object_is_refused() -> None:
    assert refusal(b"[]") == refusal(b'"a"') == refusal(b"null") == "body must be a JSON object"


def test_a_repeated_name_is_refused_however_deep() -> None:
    assert refusal(b'{"a": [{"b": 1, "b": 2}]}') == "field 'b' is given more than once"


def test_depth_has_a_limit() -> None:
    assert parse_object(OPENED + CLOSED)
    assert refusal(OPENED + b"[]" + CLOSED) == f"body is nested deeper than {MOST_DEPTH} levels"
    assert refusal(b'{"a":' * 200_000) == "body has more than 20000 values"
    assert refusal(b'{"a":' * 9_000) == f"body is nested deeper than {MOST_DEPTH} levels"


@pytest.mark.parametrize("value", [b"1", b"[]", b"{}", b'"\\"[{,"', b'"\\\\"'])
def test_the_number_of_values_has_a_limit(value: bytes) -> None:
    few = b'{"a": [' + b",".join([value] * (MOST_VALUES // 2 - 10)) + b"]}"
    many = b'{"a": [' + b",".join([value] * (MOST_VALUES + 1)) + b"]}"
    assert parse_object(few)
    assert refusal(many) == f"body has more than {MOST_VALUES} values"


def test_what_is_in_a_text_counts_as_nothing() -> None:
    text = 'a\\"[{,' * MOST_VALUES + "\\"
    assert parse_object(json.dumps({"a": text, "b": "[" * 1000}).encode())["a"] == text


def test_a_text_that_does_not_end_is_refused_in_no_time() -> None:
    assert refusal(b'{"a": "' + b'\\"[,' * 100_000) == "body is not JSON"
