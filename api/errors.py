"""The one table from errors to HTTP answers.

Every error is JSON: ``{"status", "reason"}``, and under ``/api/v1``, as useSend has it,
``{"error": {"code", "message"}}``.
"""

import logging
import math
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from api.told import Told
from delivery.domain.errors import (
    AlreadyThere,
    IdReused,
    InvalidRequest,
    KeyInFlight,
    KeyReused,
    NotAllowed,
    NotAuthenticated,
    NotStored,
    PostroomError,
    RateExceeded,
    RequestTooLarge,
    StoreUnavailable,
    TooLate,
    UnknownEmail,
)

log = logging.getLogger(__name__)

RETRY_AFTER = "1"
"""Seconds; the store is usually back, or a new primary elected, after a few of these."""

PUBLIC_API = "/api/v1"

_CODES = {
    HTTPStatus.UNAUTHORIZED: "UNAUTHORIZED",
    HTTPStatus.FORBIDDEN: "FORBIDDEN",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED",
    HTTPStatus.CONFLICT: "NOT_UNIQUE",
    HTTPStatus.TOO_MANY_REQUESTS: "RATE_LIMITED",
}
"""Under ``/api/v1``. Other statuses have the code of their class."""

_TABLE: list[tuple[type[PostroomError], HTTPStatus, str | None]] = [
    # error, HTTP status, reason (None: the error's own)
    (RequestTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, None),
    (InvalidRequest, HTTPStatus.BAD_REQUEST, None),
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED, None),
    (NotAllowed, HTTPStatus.FORBIDDEN, None),
    (KeyReused, HTTPStatus.CONFLICT, None),
    (IdReused, HTTPStatus.CONFLICT, None),
    (KeyInFlight, HTTPStatus.CONFLICT, None),
    (AlreadyThere, HTTPStatus.CONFLICT, None),
    (RateExceeded, HTTPStatus.TOO_MANY_REQUESTS, None),
    (TooLate, HTTPStatus.BAD_REQUEST, None),  # as useSend's API has it
    (UnknownEmail, HTTPStatus.NOT_FOUND, "unknown request_id"),
    (NotStored, HTTPStatus.INTERNAL_SERVER_ERROR, None),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "the store is away; try again"),
]


def register(app: Flask) -> None:
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer)


def answer(status: HTTPStatus, reason: str, **more: Any) -> Response:
    """An error answer in the words of the route that was called."""
    return refusal(status, reason, path=request.path, **more).response()


def refusal(status: HTTPStatus, reason: str, *, path: str, **more: Any) -> Told:
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = RETRY_AFTER
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Told(status, {**error_body(status, reason, path=path), **more}, headers)


def told_of(error: BaseException, *, path: str) -> Told:
    """What the table says of an error. One that isn't in it is logged."""
    for kind, status, reason in _TABLE:
        if isinstance(error, kind):
            told = refusal(status, reason or str(error), path=path)
            return replace(told, headers={**told.headers, **_more_headers(error)})
    _log_unexpected(error)
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error", path=path)


def error_body(status: HTTPStatus, reason: str, *, path: str) -> dict[str, Any]:
    """Either ``denied`` where the caller must change something and ``error`` where we must, or a code."""
    if path == PUBLIC_API or path.startswith(f"{PUBLIC_API}/"):
        return {"error": {"code": _code(status), "message": reason}}
    word = "denied" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "error"
    return {"status": word, "reason": reason}


def _code(status: HTTPStatus) -> str:
    other = "BAD_REQUEST" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "INTERNAL_SERVER_ERROR"
    return _CODES.get(status, other)


def _more_headers(error: BaseException) -> dict[str, str]:
    if isinstance(error, KeyInFlight):
        return {"Retry-After": RETRY_AFTER}
    if isinstance(error, RateExceeded):
        return {"Retry-After": str(max(1, math.ceil(error.again_in.total_seconds())))}
    return {}


def _answer(error: Exception) -> Response:
    return told_of(error, path=request.path).response()


def _answer_http(error: HTTPException) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        return _answer(RequestTooLarge("body is too large"))
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    response = answer(status, status.phrase.lower())
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _log_unexpected(error: BaseException) -> None:
    # Only the error's kind and place: its text may quote what the caller sent.
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "?"
    log.error("unexpected error kind=%s at=%s", type(error).__name__, where)
