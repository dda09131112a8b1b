from collections.abc import Callable
from io import BytesIO

import pytest
from flask import Flask
from gunicorn.http.errors import InvalidChunkSize
from werkzeug.test import create_environ

from api.bodies import read_body
from delivery.domain.errors import InvalidRequest, RequestTooLarge

LIMIT = 100


class Raising:
    """A stream that can't be read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int) -> bytes:
        raise self._error


def _in_request(
    stream: BytesIO | Raising, call: Callable[[], object], *, length: int | None = None
) -> object:
    """Call it within a request with this body; chunked, where no length is given."""
    app = Flask("test")
    app.config["MAX_CONTENT_LENGTH"] = LIMIT
    environ = {**create_environ(method="POST"), "wsgi.input": stream, "wsgi.input_terminated": True}
    if length is None:
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    else:
        environ["CONTENT_LENGTH"] = str(length)
    with app.request_context(environ):
        return call()


def test_a_body_within_the_limit_is_read_whole() -> None:
    assert _in_request(BytesIO(b"x" * 99), read_body) == b"x" * 99
    assert _in_request(BytesIO(b"x" * LIMIT), read_body, length=LIMIT) == b"x" * LIMIT


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1, 10 * LIMIT])
def test_a_chunked_body_that_fills_the_limit_is_too_large(size: int) -> None:
    with pytest.raises(RequestTooLarge):
        _in_request(BytesIO(b"x" * size), read_body)


def test_no_more_than_the_limit_is_read_of_a_body() -> None:
    endless = BytesIO(b"x" * 100_000)
    with pytest.raises(RequestTooLarge):
        _in_request(endless, read_body)
    assert endless.tell() <= LIMIT


def test_broken_chunks_are_the_callers_fault() -> None:
    with pytest.raises(InvalidRequest, match="not well-formed"):
        _in_request(Raising(InvalidChunkSize(b"zz")), read_body)
