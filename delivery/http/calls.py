"""HTTP/1.1 calls to one address, over connections that are kept: a provider's API.

docs/adr/0014-calls-to-the-provider.md says why no client library makes them.
"""

import asyncio
import base64
from collections import deque
from collections.abc import Iterable
from ssl import SSLContext, create_default_context

import aiohappyeyeballs
from yarl import URL

from delivery.http.connection import Body, CallFailed, Connection, HttpAnswer
from delivery.http.lookups import Lookups

NEXT_ADDRESS_AFTER = 0.25
"""Seconds until the next address of a host is tried besides. RFC 8305."""


class HttpCalls:
    """Calls as many at once as it is asked for. Belongs to the event loop that it is first used on."""

    def __init__(self, url: str, *, connect_timeout: float, total_timeout: float) -> None:
        """url: http or https, with a path that all calls have before their own."""
        self._url = URL(url)
        self._connect_timeout = connect_timeout
        self._total_timeout = total_timeout
        self._ssl: SSLContext | None = create_default_context() if self._url.scheme == "https" else None
        self._lookups = Lookups(self._url.raw_host, self._url.port)
        self._idle: deque[Connection] = deque()
        self._is_closed = False
        self._headers = self._headers_of_all()

    def close(self) -> None:
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    async def get(self, path: str) -> HttpAnswer:
        """Raises CallFailed."""
        return await self._call(self._head("GET", path) + b"\r\n", ())

    async def post_json(self, path: str, body: bytes | Body) -> HttpAnswer:
        """Raises CallFailed. Never repeated: whether the first one arrived nobody knows."""
        if isinstance(body, Body):
            return await self._call(self._posting(path, size=body.size), body.parts)
        return await self._call(self._posting(path, size=len(body)) + body, ())

    def _posting(self, path: str, *, size: int) -> bytes:
        head = self._head("POST", path)
        return b"%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (head, size)

    def _head(self, method: str, path: str) -> bytes:
        return f"{method} {self._url.raw_path.rstrip('/')}{path} HTTP/1.1\r\n".encode() + self._headers

    def _headers_of_all(self) -> bytes:
        url = self._url
        headers = f"Host: {url.host_port_subcomponent}\r\nAccept: */*\r\nUser-Agent: postroom\r\n"
        if url.user is not None:
            pair = f"{url.user}:{url.password or ''}".encode()
            headers += f"Authorization: Basic {base64.b64encode(pair).decode()}\r\n"
        return headers.encode()

    async def _call(self, request: bytes, parts: Iterable[bytes]) -> HttpAnswer:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._total_timeout
        connection = self._kept(loop.time()) or await self._connect(loop)
        timer = loop.call_at(deadline, connection.fail, "TimeoutError")
        try:
            return await connection.call(request, parts)
        finally:
            timer.cancel()
            self._keep(connection, loop.time())

    def _kept(self, now: float) -> "Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable and now < connection.kept_until and not connection.has_word():
                return connection
            connection.close()
        return None

    def _keep(self, connection: "Connection", now: float) -> None:
        if self._is_closed or not connection.is_usable:
            connection.close()
            return
        connection.kept_until = now + connection.may_idle_for
        self._idle.append(connection)
        while self._idle and now >= self._idle[0].kept_until:
            self._idle.popleft().close()

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> "Connection":
        try:
            async with asyncio.timeout(min(self._connect_timeout, self._total_timeout)):
                return await self._connected(loop)
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: a host that is no name
            raise CallFailed(type(error).__name__, is_sent=False) from None

    async def _connected(self, loop: asyncio.AbstractEventLoop) -> "Connection":
        host = self._url.raw_host
        addresses = await self._lookups.addresses(loop)
        try:
            socket = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=NEXT_ADDRESS_AFTER, loop=loop
            )
        except OSError:
            self._lookups.forget()  # the host may have moved
            raise
        _, connection = await loop.create_connection(
            Connection, sock=socket, ssl=self._ssl, server_hostname=host if self._ssl else None
        )
        return connection
