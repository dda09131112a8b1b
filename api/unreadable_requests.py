"""Answers to requests that do not reach the app: what gunicorn can't parse, and what does not come whole.

gunicorn would answer in HTML, and log the text of the request. Neither must happen here.
"""

import json
from http import HTTPStatus

from gunicorn.http import errors

from api.errors import RETRY_AFTER, error_body

_STATUSES: list[tuple[type[Exception], HTTPStatus]] = [
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (errors.ParseException, HTTPStatus.BAD_REQUEST),
]


def status_of(error: BaseException) -> HTTPStatus:
    """What gunicorn's parser met; 500 for anything else."""
    return next((s for kind, s in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def last_answer(status: HTTPStatus, *, path: str) -> bytes:
    """The whole answer, after which the connection is closed."""
    body = json.dumps(error_body(status, status.phrase.lower(), path=path)).encode()
    retry_after = f"Retry-After: {RETRY_AFTER}\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"{retry_after}"
        "Connection: close\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
