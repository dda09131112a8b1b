"""Just enough HTTP/1.1 for both ends of a connection, at a small part of a library's cost.

On a machine with few cores, whoever makes the load or plays the provider takes from what is measured.
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)

Answered = Callable[["Caller", int, bytes], None]
"""Told of an answer: who has it, its status, its body. May send the next request at once."""

Lost = Callable[["Caller"], None]

Respond = Callable[[bytes], None]
Serve = Callable[[bytes, bytes, Respond], None]
"""Gets a request, as its first line and its body, and calls Respond with the whole answer, now or later."""


def post(url: str, payload: bytes, **headers: str) -> bytes:
    """A whole request. headers: further ones, ``X_Signature="…"``."""
    target = urlsplit(url)
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(payload)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + _END + payload


def get(url: str) -> bytes:
    target = urlsplit(url)
    path = f"{target.path}?{target.query}" if target.query else target.path
    return f"GET {path} HTTP/1.1\r\nHost: {target.netloc}\r\n\r\n".encode()


def answer(status: HTTPStatus, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class Caller(asyncio.Protocol):
    """A client's end of a kept connection, with one request out at a time. lost: called when it ends."""

    def __init__(self, answered: Answered, lost: Lost) -> None:
        self._answered, self._lost = answered, lost
        self._pieces = _Pieces()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes) -> None:
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    # asyncio's name: https://docs.python.org/3/library/asyncio-protocol.html
    def data_received(self, data: bytes) -> None:
        if whole := self._pieces.add(data):
            head, body = whole
            self._answered(self, int(head[9:12]), body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)


async def connect(url: str, answered: Answered, lost: Lost) -> Caller:
    """url: with a host and a port."""
    target = urlsplit(url)
    assert target.hostname
    assert target.port
    loop = asyncio.get_running_loop()
    _, caller = await loop.create_connection(lambda: Caller(answered, lost), target.hostname, target.port)
    return caller


class Served(asyncio.Protocol):
    """A server's end of a connection whose client waits for each answer before it sends its next request."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._pieces = _Pieces()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    # asyncio's name, as above
    def data_received(self, data: bytes) -> None:
        if whole := self._pieces.add(data):
            head, body = whole
            self._serve(head.partition(b"\r\n")[0], body, self._transport.write)


class _Pieces:
    """A message on its way in; nothing comes behind it before it is dealt with."""

    def __init__(self) -> None:
        self._received = b""

    def add(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Its head and its body, once it is whole."""
        if self._received:
            data = self._received + data
        end = data.find(_END)
        if end < 0 or len(data) < end + len(_END) + _length(data, end):
            self._received = data
            return None
        self._received = b""
        return data[:end], data[end + len(_END) :]


def _length(data: bytes, end: int) -> int:
    """Of the body after the head that ends there; what doesn't tell has none."""
    found = _LENGTH.search(data, 0, end)
    return int(found[1]) if found else 0
