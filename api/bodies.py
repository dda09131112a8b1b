"""Request bodies: whole, within the limit and well-formed, or refused."""

from flask import request
from gunicorn.http.errors import ParseException

from delivery.domain.errors import InvalidRequest, RequestTooLarge


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
    limit = request.max_content_length
    if request.content_length is None and limit is not None and len(body) >= limit:
        raise RequestTooLarge("body is too large")
    return body
