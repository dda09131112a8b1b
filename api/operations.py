"""What a route takes and answers, said beside the route; api/openapi.py makes the API's description of it.

The bodies are the marshmallow schemas of delivery/contract, which validate what comes in, so that nothing is
described twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from marshmallow import Schema

View = TypeVar("View", bound=Callable[..., object])

_ATTRIBUTE = "postroom_operation"


@dataclass(frozen=True, slots=True)
class Answer:
    """body: the schema of its JSON; None: it is something else. headers: of those in response_headers.py."""

    means: str
    body: type[Schema] | Schema | None = None
    headers: tuple[str, ...] = ()
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """body: a schema, or JSON Schema around one. answers: the successful ones. errors: beyond those that
    authentication, limits and the store bring.

    path, query, headers: a field a parameter. examples: whole bodies by what they show; each is accepted.
    """

    summary: str
    answers: Mapping[HTTPStatus, Answer]
    description: str = ""
    tag: str = "emails"
    body: type[Schema] | Schema | Mapping[str, object] | None = None
    examples: Mapping[str, object] = field(default_factory=dict)
    path: type[Schema] | None = None
    query: type[Schema] | None = None
    headers: type[Schema] | None = None
    errors: tuple[HTTPStatus, ...] = ()


def describes(operation: Operation) -> Callable[[View], View]:
    """Decorates the function of a route, next to it: ``@routes.post("/send")`` stands above."""

    def describe(view: View) -> View:
        setattr(view, _ATTRIBUTE, operation)
        return view

    return describe


def operation_of(view: Callable[..., object]) -> Operation | None:
    """What is said of it; None if nothing is."""
    found: Operation | None = getattr(view, _ATTRIBUTE, None)
    return found
