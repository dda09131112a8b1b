"""The one table from errors to HTTP answers.

Every error is JSON: ``{"status", "reason"}``, and under ``/api/v1``, as useSend has it,
``{"error": {"code", "message"}}``.
"""

import logging
import math
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

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
    app.register_error_handler(PostroomError, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)


def answer(status: HTTPStatus, reason: str, **more: Any) -> Response:
    """An error answer in the words of the route that was called."""
    response = jsonify({**error_body(status, reason, path=request.path), **more})
    response.status_code = status
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = RETRY_AFTER
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def error_body(status: HTTPStatus, reason: str, *, path: str) -> dict[str, Any]:
    """Either ``denied`` where the caller must change something and ``error`` where we must, or a code."""
    if path == PUBLIC_API or path.startswith(f"{PUBLIC_API}/"):
        return {"error": {"code": _code(status), "message": reason}}
    word = "denied" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "error"
    return {"status": word, "reason": reason}


def _code(status: HTTPStatus) -> str:
    other = "BAD_REQUEST" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "INTERNAL_SERVER_ERROR"
    return _CODES.get(status, other)


def _answer(error: PostroomError) -> Response:
    for kind, status, reason in _TABLE:
        if isinstance(error, kind):
            response = answer(status, reason or str(error))
            if isinstance(error, KeyInFlight):
                response.headers["Retry-After"] = RETRY_AFTER
            if isinstance(error, RateExceeded):
                response.headers["Retry-After"] = str(max(1, math.ceil(error.again_in.total_seconds())))
            return response
    return _answer_unexpected(error)


def _answer_http(error: HTTPException) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        return _answer(RequestTooLarge("body is too large"))
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    response = answer(status, status.phrase.lower())
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _answer_unexpected(error: Exception) -> Response:
    # Only the error's kind and place: its text may quote what the caller sent.
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "?"
    log.error("unexpected error kind=%s at=%s", type(error).__name__, where)
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
