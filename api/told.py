"""What is answered, before it is a Flask response or the bytes of one."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify
from gunicorn import SERVER
from gunicorn.util import http_date

_ENCODER = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Told:
    """body: becomes a JSON object."""

    status: HTTPStatus
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """For Flask."""
        response = jsonify(self.body)
        response.status_code = self.status
        response.headers.update(self.headers)
        return response

    def in_bytes(self, *, closes: bool) -> bytes:
        """As it goes over the line (RFC 9112), as gunicorn would write it. closes: it is the last one."""
        body = _ENCODER.encode(self.body) + "\n"
        connection = "close" if closes else "keep-alive"
        own = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return (
            f"HTTP/1.1 {self.status.value} {self.status.phrase.upper()}\r\n"
            f"Server: {SERVER}\r\nDate: {_date(int(time.time()))}\r\nConnection: {connection}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{own}\r\n{body}"
        ).encode("latin-1")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    """Of the Unix epoch. It costs as much as the rest of an answer."""
    return http_date(second)
