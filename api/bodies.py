"""Request bodies: whole, within the limit and well-formed, or refused."""

from contextlib import suppress
from typing import Any

from flask import Response, current_app, request
from gunicorn.http.errors import ParseException

from delivery.domain.errors import InvalidRequest, RequestTooLarge

_PIECE = 64 * 1024
_MOST_DISCARDED = 16 * 1024 * 1024


def read_body() -> bytes:
    """The body of the request at hand.

    Raises RequestTooLarge (werkzeug has an error of its own for a Content-Length over the limit) and
    InvalidRequest for broken chunks. Of a chunked body no more than the limit is read, without a word
    on whether there is more: one that fills the limit counts as too large.
    """
    try:
        body = request.get_data(cache=False)
    except ParseException:
        raise InvalidRequest("body is not well-formed") from None
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    if request.content_length is None and len(body) >= limit:
        raise RequestTooLarge("body is too large")
    return body


def discard_rest(response: Response) -> None:
    """Read what is left of the body once the answer is out.

    A connection that is closed with something unread is reset, and the caller may lose the answer.
    """
    stream = request.environ["wsgi.input"]
    response.call_on_close(lambda: _discard(stream))


def _discard(stream: Any) -> None:
    left = _MOST_DISCARDED
    with suppress(OSError, ParseException):
        while left > 0 and (piece := stream.read(_PIECE)):
            left -= len(piece)
