"""gunicorn's threaded worker, with errors that are JSON like all our others.

gunicorn answers what it can't parse (a malformed request line, headers over its limits) by itself, in HTML,
and logs the text of the request. Neither must happen here.
"""

import contextlib
import json
import logging
import socket
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

log = logging.getLogger(__name__)

_STATUSES: list[tuple[type[Exception], HTTPStatus]] = [
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (errors.ParseException, HTTPStatus.BAD_REQUEST),
]


class JsonErrorWorker(ThreadWorker):
    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        status = next((s for kind, s in _STATUSES if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        level = logging.ERROR if status is HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
        log.log(level, "request not answered by the app kind=%s status=%d", type(exc).__name__, status)
        with contextlib.suppress(OSError):
            client.sendall(_error(status))


def _error(status: HTTPStatus) -> bytes:
    word = "denied" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "error"
    body = json.dumps({"status": word, "reason": status.phrase.lower()}).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
