"""Requests of which nothing needs a second look, read from their bytes in one go.

Nearly all requests are such: one POST, whole, with an ordinary head and a body of the length it says. What is
out of the ordinary in any way isn't read here at all: gunicorn's parser reads that, or refuses it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

MOST_BYTES = 64 * 1024

_MOST_HEAD = 4 * 1024
_MOST_FIELDS = 60
_END_OF_HEAD = b"\r\n\r\n"

_FIRST_LINE = re.compile(r"POST (/[A-Za-z0-9/_-]*) HTTP/1\.1")
_FIELD = re.compile(r"([A-Za-z0-9-]+):[ \t]*([!-~](?:[ -~]*[!-~])?)")

_HOST = re.compile(
    r"(?:[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
"""Others make werkzeug find no route."""

_OUT_OF_THE_ORDINARY = frozenset(
    {
        "transfer-encoding",
        "content-encoding",
        "expect",
        "upgrade",
        "http2-settings",
        "trailer",
        "te",
        "prefer",
        "proxy-connection",
        "x-forwarded-ssl",  # these two may contradict x-forwarded-proto
        "x-forwarded-protocol",
    }
)
"""Names of fields with which a request means more than its body says."""


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """headers: by their names in small letters."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def read_plain(received: bytes) -> PlainRequest | None:
    """None if this is anything but one plain request, and nothing after it (RFC 9112)."""
    end = received.find(_END_OF_HEAD, 0, _MOST_HEAD)
    if end < 0 or len(received) > MOST_BYTES:
        return None
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    line = _FIRST_LINE.fullmatch(first)
    headers = _headers(lines) if line is not None else None
    if line is None or headers is None:
        return None
    body = received[end + len(_END_OF_HEAD) :]
    return PlainRequest(line[1], headers, body) if headers["content-length"] == str(len(body)) else None


def _headers(lines: list[str]) -> dict[str, str] | None:
    headers = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            return None
        headers[field[1].lower()] = field[2]
    is_plain = (
        len(headers) == len(lines) <= _MOST_FIELDS
        and "content-length" in headers
        and _HOST.fullmatch(headers.get("host", "")) is not None
        and headers.get("connection", "keep-alive").lower() == "keep-alive"
        and headers.keys().isdisjoint(_OUT_OF_THE_ORDINARY)
    )
    return headers if is_plain else None
