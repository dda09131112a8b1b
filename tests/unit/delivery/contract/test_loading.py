from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from delivery.contract.loading import Loader
from delivery.contract.provider_events import MailDeliveryEventSchema
from delivery.contract.send import SendSchema

_ADDRESSES = ["ann@example.com", "a.b+c@mail.example.org", "ann", "a@b", "ann@example.com\n", "@x.org"]
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from([*_ADDRESSES, "bulk", "critical", "2030-01-31T12:00:00Z", "DELIVERED", "hold", "\ud800"]),
    st.lists(st.integers(), max_size=1),
)


def _bodies(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    right = {
        "sender": "shop@example.com",
        "recipient": "ann@example.com",
        "message": "Hello",
        "ID": "e1",
        "STATUS": "FAILED",
    }
    known = {name: value for name, value in right.items() if name in schema.fields}
    names = st.sampled_from([*schema.fields, "unknown"])
    return st.dictionaries(names, _VALUES, max_size=4).flatmap(
        lambda changes: st.sampled_from([changes, {**known, **changes}])
    )


def _outcome(load: Any, body: dict[str, Any]) -> object:
    try:
        return load(body)
    except ValidationError as error:
        return error.messages


@given(body=_bodies(SendSchema()))
def test_an_email_is_loaded_as_by_its_schema(body: dict[str, Any]) -> None:
    assert _outcome(Loader(SendSchema()).load, body) == _outcome(SendSchema().load, body)


@given(body=_bodies(MailDeliveryEventSchema()))
def test_an_event_is_loaded_as_by_its_schema(body: dict[str, Any]) -> None:
    expected = _outcome(MailDeliveryEventSchema().load, body)
    assert _outcome(Loader(MailDeliveryEventSchema()).load, body) == expected


@given(body=_bodies(SendSchema()))
def test_what_is_right_is_loaded_the_same_without_saying_why_the_rest_is_not(body: dict[str, Any]) -> None:
    expected = _outcome(SendSchema().load, body)
    try:
        assert Loader(SendSchema()).load_right(body) == expected
    except ValidationError:
        with pytest.raises(ValidationError):
            SendSchema().load(body)


class _WithHook(Schema):
    name = fields.String()

    @validates_schema
    def check(self, data: object, **_: object) -> None: ...


class _Dropping(Schema):
    class Meta:
        unknown = EXCLUDE


class _WithDefault(Schema):
    name = fields.String(load_default="x")


class _WithOtherName(Schema):
    name = fields.String(data_key="other")


@pytest.mark.parametrize("schema", [_WithHook, _Dropping, _WithDefault, _WithOtherName])
def test_a_schema_that_is_more_than_its_fields_is_refused(schema: type[Schema]) -> None:
    with pytest.raises(ValueError, match=r"more than its|another name"):
        Loader(schema())
