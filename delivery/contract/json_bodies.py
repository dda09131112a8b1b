"""Bodies in JSON: objects within limits, or refused before they are read.

A parser's lists and objects take up to a hundred times the bytes that made them, so that the size of a body
alone bounds nothing: it is looked at first for how deep it is and how many values it has.
"""

import json
import re
from typing import Any, NoReturn

from delivery.domain.errors import InvalidRequest

MOST_DEPTH = 32
"""Objects and arrays inside each other. A batch with attachments has five."""

MOST_VALUES = 20_000
"""Members of objects and elements of arrays in all. A batch of 100 rich emails has some thousands."""

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def parse_object(raw: bytes) -> dict[str, Any]:
    """As parse_json; what is no object is refused, too."""
    body = parse_json(raw)
    if not isinstance(body, dict):
        raise InvalidRequest("body must be a JSON object")
    return body


def parse_array(raw: bytes) -> list[Any]:
    """As parse_json; what is no array is refused, too."""
    body = parse_json(raw)
    if not isinstance(body, list):
        raise InvalidRequest("body must be a JSON array")
    return body


def parse_json(raw: bytes) -> Any:
    """Raises InvalidRequest for what is no JSON in UTF-8, repeats a name, or is over a limit.

    RFC 8259, of whose liberties none is taken: no other encoding, no byte order mark.
    """
    try:
        text = raw.decode()
        _check_limits(text)
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("body is not JSON") from None


def _check_limits(text: str) -> None:
    """Most bodies are seen to be within the limits by counting, whatever is in their strings."""
    opened = text.count("[") + text.count("{")
    if opened <= MOST_DEPTH and opened + text.count(",") <= MOST_VALUES:
        return
    bare = _STRING.sub("", text)
    if sum(map(bare.count, "[{,")) > MOST_VALUES:
        raise InvalidRequest(f"body has more than {MOST_VALUES} values")
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > MOST_DEPTH:
            raise InvalidRequest(f"body is nested deeper than {MOST_DEPTH} levels")


def _refuse_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two equal names some readers take the first, others the last (RFC 8259, section 4)."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise InvalidRequest(f"field {name[:100]!r} is given more than once")
        fields[name] = value
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_repetition)
