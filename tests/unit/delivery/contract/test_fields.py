"""What the fields say of themselves in JSON Schema is what they take."""

from typing import Any

import jsonschema_rs
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from delivery.contract.fields import LINE_BREAKS, MAX_ADDRESS, Address, Choice, Text, Uuid, WholeNumber

BLANKS = "".join(char for char in map(chr, range(0x110000)) if char.isspace())
NEAR_BLANKS = "\ufeff\u200b\u2060\u180e\x00\x08\x7f\x84\x86"
TEXTS = st.text(st.sampled_from(BLANKS + LINE_BREAKS + NEAR_BLANKS + "aé😀")) | st.text(
    st.characters(exclude_categories=["Cs"])
)


def agree(field: Any, value: object) -> None:
    try:
        field.deserialize(value)
        taken = True
    except ValidationError:
        taken = False
    assert jsonschema_rs.is_valid({"not": {"not": field.json_schema}}, value) == taken, ascii(value)


@pytest.mark.parametrize("field", [Text(), Text(one_line=True), Text(most=3), Text(one_line=True, most=3)])
@pytest.mark.parametrize("value", [*BLANKS, *LINE_BREAKS, *NEAR_BLANKS, "", None, 1, [], {}], ids=ascii)
def test_a_text_of_one_character_is_described_as_it_is_read(field: Text, value: object) -> None:
    agree(field, value)
    if isinstance(value, str):
        agree(field, f"{value}a")
        agree(field, f"a{value}")


@given(TEXTS)
def test_any_text_is_described_as_it_is_read(value: str) -> None:
    for field in (Text(), Text(one_line=True), Text(most=3), Text(one_line=True, most=3)):
        agree(field, value)


@given(st.integers() | st.booleans() | st.text() | st.none())
def test_a_number_is_described_as_it_is_read(value: object) -> None:
    agree(WholeNumber(least=-3, most=300), value)


@given(st.sampled_from(["a", "b", "A", ""]) | st.integers() | st.none())
def test_a_choice_is_described_as_it_is_read(value: object) -> None:
    agree(Choice(("a", "b")), value)


_LOCALS = st.text("abZ09.-+_\"' é", max_size=4) | st.sampled_from(["a" * 64, "a" * 65, ".a", "a..b"])
_LONG_DOMAINS = [f"{'é' * length}.com" for length in (20, 40, 50)] + [f"{'a' * 60}." * 3 + "com"]
_DOMAINS = st.text("ab.-é1", max_size=5) | st.sampled_from(
    [
        "example.com",
        "x.test",
        "localhost",
        "a.invalid",
        "[127.0.0.1]",
        "b." * 100 + "org",
        "xn--bcher-kva.example",
    ]
)


@given(_LOCALS, _DOMAINS)
def test_an_address_is_taken_if_email_validator_takes_it(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    try:
        validate_email(address, check_deliverability=False, test_environment=True)
        expected = True
    except EmailNotValidError:
        expected = False
    try:
        Address().deserialize(address)
        taken = True
    except ValidationError:
        taken = False
    assert taken == (expected and len(address) <= MAX_ADDRESS), ascii(address)


@given(st.uuids().map(str))
def test_a_uuid_is_taken_in_any_case(value: str) -> None:
    assert Uuid().deserialize(value.upper()) == value


@pytest.mark.parametrize("value", ["", "x", "{%s}", "urn:uuid:%s", " %s", "%s\n", 1, None])
def test_what_only_resembles_a_uuid_is_refused(value: object) -> None:
    if isinstance(value, str):
        value = value.replace("%s", "01a201dd-46e8-75da-aeb0-7ae16905b066")
    with pytest.raises(ValidationError):
        Uuid().deserialize(value)
