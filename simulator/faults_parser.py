"""Reads fault settings from JSON and reports every mistake at once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load
from marshmallow.validate import Range

from simulator.durations import LONGEST, parse_duration
from simulator.faults import Beyond, Capacity, Down, DownMode, Faults, odds
from simulator.tag_parser import TagError, parse_tag


class FaultsError(ValueError):
    """Fault settings that make no sense: every mistake, one sentence each."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def merge_faults(faults: Faults, changes: object, *, has_control_port: bool) -> Faults:
    """`faults` with the settings named in `changes`, a JSON object, replaced one by one.

    Without a control port the settings that would lock everyone out for good are refused.
    Raises FaultsError with every mistake.
    """
    if not isinstance(changes, Mapping):
        raise FaultsError(("fault settings must be a JSON object",))
    try:
        merged = replace(faults, **_FaultsSchema().load(changes))
    except ValidationError as error:
        raise FaultsError(tuple(_sentences(error.messages))) from error
    mistakes = _rates_over_one(merged)
    if not has_control_port:
        mistakes += _locked_out(merged)
    if mistakes:
        raise FaultsError(tuple(mistakes))
    return merged


def _rates_over_one(faults: Faults) -> list[str]:
    return [
        f"the rates of {', '.join(tag.name for tag, _ in tags)} exclude each other and add up to more than 1"
        for tags in odds(faults).values()
        if sum(rate for _, rate in tags) > 1 + 1e-9
    ]


def _locked_out(faults: Faults) -> list[str]:
    mistakes = []
    if faults.down is not None and faults.down.mode is DownMode.REFUSE and faults.down.seconds is None:
        mistakes.append("down: refuse without seconds could not be ended without a --control-port")
    if faults.reset_connections == 1:
        mistakes.append("reset_connections: 1 could not be ended without a --control-port")
    return mistakes


def _parsed_by(parse: Callable[[Any], Any]) -> fields.Function:
    """A field read by a function that raises ValueError with a sentence."""

    def deserialize(value: Any) -> Any:
        try:
            return parse(value)
        except ValueError as error:
            raise ValidationError(str(error)) from error

    return fields.Function(deserialize=deserialize)


def _tag_with_a_rate(text: str) -> str:
    if text == "error":
        raise ValueError("the rate of error is error_rate")
    try:
        parse_tag(text)
    except TagError as error:
        raise ValueError(str(error)) from error
    return text


def _seconds() -> fields.Float:
    return fields.Float(validate=Range(min=0, max=LONGEST))


def _rate() -> fields.Float:
    return fields.Float(validate=Range(min=0, max=1))


class _DownSchema(Schema):
    mode = fields.Enum(DownMode, by_value=True, load_default=DownMode.REFUSE)
    seconds = fields.Float(validate=Range(min=0, max=LONGEST), allow_none=True, load_default=None)

    @post_load
    def _down(self, values: dict[str, Any], **_: Any) -> Down:
        return Down(**values)


class _CapacitySchema(Schema):
    calls = fields.Integer(strict=True, required=True, validate=Range(min=0))
    beyond = fields.Enum(Beyond, by_value=True, load_default=Beyond.REFUSED)

    @post_load
    def _capacity(self, values: dict[str, Any], **_: Any) -> Capacity:
        return Capacity(**values)


class _FaultsSchema(Schema):
    latency = _parsed_by(parse_duration)
    capacity = fields.Nested(_CapacitySchema, allow_none=True)
    error_rate = _rate()
    rates = fields.Dict(keys=_parsed_by(_tag_with_a_rate), values=_rate())
    down = fields.Nested(_DownSchema, allow_none=True)
    reset_connections = _rate()
    retry_after = _seconds()
    webhook_delay = _parsed_by(parse_duration)
    webhook_shuffle = _seconds()
    status_budget = fields.Integer(strict=True, allow_none=True, validate=Range(min=0))
    status_ban = _seconds()


def _sentences(messages: object, path: str = "") -> list[str]:
    """marshmallow's tree of messages, flattened to lines like `down.mode: Must be one of …`."""
    if isinstance(messages, Mapping):
        inner = (
            (path if key in ("_schema", "key", "value") else f"{path}.{key}", messages[key])
            for key in messages
        )
        return [sentence for name, message in inner for sentence in _sentences(message, name)]
    if isinstance(messages, list):
        return [sentence for message in messages for sentence in _sentences(message, path)]
    return [f"{path.removeprefix('.')}: {messages}"]
