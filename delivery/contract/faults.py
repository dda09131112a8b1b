"""What is said of a request that a schema doesn't take: one sentence, about the first fault."""

from collections.abc import Mapping
from typing import Any, NoReturn

from marshmallow import ValidationError

from delivery.domain.errors import InvalidRequest


def deny(error: ValidationError, *, known: Mapping[str, object]) -> NoReturn:
    """Raise InvalidRequest. known: the fields' names as callers write them, in the order of the schema."""
    faults = error.messages_dict
    for name in known:
        if name in faults:
            raise InvalidRequest(_sentence(name, faults[name]))
    unknown = min(faults)
    raise InvalidRequest(f"unknown field {unknown[:100]!r}")


def _sentence(name: str, fault: Any) -> str:
    """``fault`` is a list of sentences' ends, or a mapping from what is inside to its faults."""
    if isinstance(fault, Mapping):
        inside, faults = next(iter(fault.items()))
        if inside == "_schema":
            return _sentence(name, faults)
        if isinstance(inside, int):
            return _sentence(f"{name}[{inside}]", faults)
        if faults == ["Unknown field."]:
            return f"unknown field {f'{name}.{inside}'[:100]!r}"
        return _sentence(f"{name}.{inside}", faults)
    match fault[0]:
        case "Missing data for required field.":
            return f"missing {name} field"
        case "Field may not be null.":
            return f"{name} must not be null"
        case "Invalid input type." | "Not a valid list.":
            return f"{name} is of the wrong type"
        case end:
            return f"{name} {end}"
