"""The API's description (OpenAPI 3.1), made of its routes and of the schemas that validate."""

import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask
from marshmallow import Schema
from marshmallow.fields import Field
from werkzeug.routing import Rule

from api.authentication import OPEN_ENDPOINTS, SCOPES
from api.errors import PUBLIC_API
from api.operations import Answer, Operation, operation_of
from api.response_headers import RESPONSE_HEADERS
from delivery.contract.errors import ApiErrorSchema, DeniedSchema

Json = dict[str, Any]

TITLE = "postroom"
VERSION = "1"
DESCRIPTION = (
    "Sends a company's email. Every error is JSON with a reason; "
    "every answer to a tenant whose requests are limited says in its headers what is left."
)

NOT_DESCRIBED = frozenset({"documentation.asset"})
"""Endpoints that are no part of the API."""

_ALWAYS = (HTTPStatus.INTERNAL_SERVER_ERROR,)
_OF_ANY_KEY = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_OF_ANY_BODY = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
)
_MEANS = {
    HTTPStatus.BAD_REQUEST: "the request can't be taken; the reason says why",
    HTTPStatus.UNAUTHORIZED: "no key, or a wrong one",
    HTTPStatus.FORBIDDEN: "the key or its tenant may not do this",
    HTTPStatus.NOT_FOUND: "there is no such email of this tenant",
    HTTPStatus.REQUEST_TIMEOUT: "the request was not here in whole in time",
    HTTPStatus.CONFLICT: "something else was asked for under this name, or it is being worked on",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too large",
    HTTPStatus.TOO_MANY_REQUESTS: "the tenant has made all the requests that it may make for now",
    HTTPStatus.INTERNAL_SERVER_ERROR: "a mistake of ours",
    HTTPStatus.SERVICE_UNAVAILABLE: "the store is away",
}
_ERROR_HEADERS: dict[HTTPStatus, tuple[str, ...]] = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.CONFLICT: ("Retry-After",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}
_LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")

_SECURITY_SCHEMES: dict[str, Json] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key of a tenant"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "the same key"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Signature",
        "description": "the provider's: sha256= and the body's HMAC-SHA256 with the shared secret, in hex",
    },
}
_SIGNED_ENDPOINTS = frozenset({"webhooks.signed"})


def describe(app: Flask) -> Json:
    """The whole document. Raises LookupError where nothing is said of a route."""
    spec = APISpec(
        title=TITLE,
        version=VERSION,
        openapi_version="3.1.0",
        plugins=[_Plugin(schema_name_resolver=_name_of)],
        info={"description": DESCRIPTION},
        servers=[{"url": "/"}],
    )
    for name, scheme in _SECURITY_SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    for name, header in RESPONSE_HEADERS.items():
        spec.components.header(name, header)
    for path, operations in _paths(app).items():
        spec.path(path=path, operations=operations)
    document: Json = spec.to_dict()
    return document


def described_routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Those that belong into the document, with the method."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in NOT_DESCRIBED:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield rule, method


def path_of(rule: Rule) -> str:
    """As OpenAPI writes it: ``/status/<request_id>`` is ``/status/{request_id}``."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _paths(app: Flask) -> dict[str, Json]:
    paths: dict[str, Json] = {}
    for rule, method in described_routes(app):
        operation = operation_of(app.view_functions[rule.endpoint])
        if operation is None:
            raise LookupError(f"{rule.endpoint} has no description")
        paths.setdefault(path_of(rule), {})[method.lower()] = _describe(rule, operation)
    return dict(sorted(paths.items()))


def _describe(rule: Rule, operation: Operation) -> Json:
    endpoint = rule.endpoint
    error = ApiErrorSchema if rule.rule.startswith(PUBLIC_API) else DeniedSchema
    described: Json = {
        "operationId": endpoint,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": dict(_responses(endpoint, operation, error=error)),
        "security": _security(endpoint),
    }
    if operation.description:
        described["description"] = operation.description
    if parameters := list(_parameters(operation)):
        described["parameters"] = parameters
    if operation.body is not None:
        content: Json = {"schema": operation.body}
        if operation.examples:
            content["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return described


def _security(endpoint: str) -> list[Json]:
    if endpoint in _SIGNED_ENDPOINTS:
        return [{"signature": []}]
    if endpoint in OPEN_ENDPOINTS:
        return []
    scopes = [SCOPES[endpoint].value]
    return [{"bearer": scopes}, {"key": scopes}]


def _parameters(operation: Operation) -> Iterator[Json]:
    for where, schema in (
        ("path", operation.path),
        ("query", operation.query),
        ("header", operation.headers),
    ):
        if schema is not None:
            yield {"in": where, "schema": schema}


def _responses(endpoint: str, operation: Operation, *, error: type[Schema]) -> Iterator[tuple[str, Json]]:
    limits = () if endpoint in OPEN_ENDPOINTS else _LIMITS
    for status, answer in operation.answers.items():
        yield str(status.value), _response(answer, headers=(*answer.headers, *limits))
    statuses = {*operation.errors, *_ALWAYS}
    statuses |= set() if endpoint in OPEN_ENDPOINTS else {*_OF_ANY_KEY}
    statuses |= set() if operation.body is None else {*_OF_ANY_BODY}
    for status in sorted(statuses - operation.answers.keys()):
        answer = Answer(_MEANS[status], error)
        yield str(status.value), _response(answer, headers=(*_ERROR_HEADERS.get(status, ()), *limits))


def _response(answer: Answer, *, headers: tuple[str, ...]) -> Json:
    content: Mapping[str, Any] = {"schema": answer.body} if answer.body is not None else {}
    response: Json = {"description": answer.means, "content": {answer.media_type: content}}
    if headers:
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    return response


def _name_of(schema: type[Schema] | Schema) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__.removesuffix("Schema")


class _Converter(OpenAPIConverter):
    """Our own fields say themselves what they take; a schema's Meta may say what holds between them."""

    def field2property(self, field: Field[Any]) -> Json:
        described: Json = super().field2property(field)
        own: Json = getattr(field, "json_schema", {})
        described.update(own)
        if own and field.allow_none:
            kinds = described["type"]
            described["type"] = [*([kinds] if isinstance(kinds, str) else kinds), "null"]
            if "enum" in described:
                described["enum"] = [*described["enum"], None]
        return described

    def schema2jsonschema(self, schema: type[Schema] | Schema) -> Json:
        described: Json = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]  # apispec's
        described.update(getattr(schema.Meta, "between_fields", {}))
        return described


class _Plugin(MarshmallowPlugin):
    Converter = _Converter
    schema_name_resolver: Callable[..., str]
