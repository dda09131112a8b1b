from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.errors import InvalidRequest
from delivery.domain.idempotency import (
    KEPT,
    PATIENCE,
    Json,
    KeyRecord,
    Repeat,
    check_key,
    fingerprint,
    record_id,
    repeat_of,
)
from tests.unit.delivery.builders import NOW

RECORD = KeyRecord(record_id="r", tenant_id="default", fingerprint="f", email_ids=("1", "2"), created_at=NOW)
MOMENT = timedelta(milliseconds=1)

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5))
BODIES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("key", ["a", "a" * 256, "order 17/2", '"quoted"', "~"])
def test_a_key_is_any_printable_text(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "a" * 257, "a\tb", "a\nb", "\x00", "\u00e9", "\x7f"])
def test_anything_else_is_no_key(key: str) -> None:
    with pytest.raises(InvalidRequest, match="Idempotency-Key must be"):
        check_key(key)


def test_each_tenant_has_a_key_space_of_its_own() -> None:
    assert record_id("a", "key") == record_id("a", "key")
    assert (
        len({record_id("a", "key"), record_id("b", "key"), record_id("a", "key2"), record_id("ak", "ey")})
        == 4
    )


@given(st.dictionaries(st.text(max_size=3), BODIES, max_size=4))
def test_neither_the_order_of_keys_nor_nulls_make_another_body(body: dict[str, Json]) -> None:
    turned = dict(reversed(body.items()))
    new_name = max(body, default="", key=len) + "x"
    assert fingerprint(body) == fingerprint(turned) == fingerprint({**body, new_name: None})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"to": ["a", "b"]}, {"to": ["b", "a"]}),
        ({"to": ["a", None]}, {"to": ["a"]}),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ({"a": {"b": 1}}, {"a": 1, "b": 1}),
        ({}, {"a": ""}),
    ],
)
def test_any_other_difference_makes_another_body(one: Json, other: Json) -> None:
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    ("fingerprint", "found", "after", "repeat"),
    [
        ("f", {"1", "2"}, MOMENT, Repeat.REPLAY),
        ("f", {"1", "2"}, KEPT - MOMENT, Repeat.REPLAY),
        ("other", {"1", "2"}, MOMENT, Repeat.OTHER_BODY),
        ("other", set(), MOMENT, Repeat.OTHER_BODY),
        ("f", set(), MOMENT, Repeat.IN_FLIGHT),
        ("f", {"1"}, PATIENCE - MOMENT, Repeat.IN_FLIGHT),
        ("f", {"1"}, PATIENCE, Repeat.UNFINISHED),
        ("f", set(), PATIENCE, Repeat.UNFINISHED),
        ("f", {"1", "2"}, KEPT, Repeat.EXPIRED),
        ("other", set(), KEPT, Repeat.EXPIRED),
    ],
)
def test_what_a_repeated_request_is(
    fingerprint: str, found: set[str], after: timedelta, repeat: Repeat
) -> None:
    assert (
        repeat_of(RECORD, fingerprint=fingerprint, found=found, patience=PATIENCE, now=NOW + after) is repeat
    )
