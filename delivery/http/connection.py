"""One kept HTTP/1.1 connection, and what an answer over it is. llhttp reads the answers."""

import asyncio
import select
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import httptools

KEPT_FOR = 15.0
"""Seconds that a connection may lie idle. Longer, and a provider's end of it may be gone unnoticed."""

KEPT_LESS = 1.0
"""Seconds that we keep it less than the other end says to: its clock began to run before ours."""

MAX_BODY = 64 * 1024
"""Of an answer; of a longer one there is the beginning."""


class CallFailed(Exception):
    """There is no whole answer. is_sent: whether a byte of the request may have left. Its text is the kind of
    error: what an error says might quote what was sent."""

    def __init__(self, kind: str, *, is_sent: bool) -> None:
        super().__init__(kind)
        self.is_sent = is_sent


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """headers: by name, as in ``Retry-After``. body: empty where it is encoded, which was not asked for."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries. size: bytes of all its parts, which are sent as the connection takes them."""

    size: int
    parts: Iterable[bytes] = field(default=())


class Connection(asyncio.Protocol):
    """One call at a time. The methods on_… are the parser's."""

    def __init__(self) -> None:
        self.kept_until = 0.0
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._is_usable = True
        self._is_writing = False
        self._writable: asyncio.Future[None] | None = None
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._has_all_headers = False
        self._lasts_to_the_end = False

    @property
    def is_usable(self) -> bool:
        """Whether it can take another call."""
        return self._is_usable and self._transport is not None and not self._transport.is_closing()

    @property
    def _is_answered(self) -> bool:
        """Whether nobody waits for an answer."""
        return self._answer is None or self._answer.done()

    @property
    def may_idle_for(self) -> float:
        """Seconds: as the last answer's ``Keep-Alive: timeout=5, max=100`` promises."""
        promise = self._headers.get("Keep-Alive")
        if promise is None:
            return KEPT_FOR
        for parameter in promise.split(","):
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "timeout" and value.strip().isdecimal():
                return min(KEPT_FOR, int(value) - KEPT_LESS)
        return KEPT_FOR

    def has_word(self) -> bool:
        """Whether something came that the event loop has not read yet: in all likelihood the other end's
        goodbye."""
        assert self._transport is not None
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def call(self, head: bytes, parts: Iterable[bytes]) -> HttpAnswer:
        """Raises CallFailed. After that, or when cancelled, the connection is of no more use."""
        if not self.is_usable:
            raise CallFailed("ConnectionClosed", is_sent=False)
        assert self._transport is not None
        self._is_usable = False
        answer: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._parser = httptools.HttpResponseParser(self)
        self._forget_the_last()
        self._transport.write(head)
        if parts:
            self._is_writing = True
            self._is_writing = not await self._write(parts, answer)
        return await answer

    def _forget_the_last(self) -> None:
        """Nothing of one answer may be taken for the next one's."""
        self._headers = {}
        self._body = bytearray()
        self._has_all_headers = self._lasts_to_the_end = False

    async def _write(self, parts: Iterable[bytes], answer: "asyncio.Future[HttpAnswer]") -> bool:
        """Whether all of it was written: who answers before has no interest in the rest."""
        assert self._transport is not None
        for part in parts:
            if self._writable is not None:
                await asyncio.wait((answer, self._writable), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return False
            self._transport.write(part)
        return True

    def fail(self, kind: str) -> None:
        """End the call that is out, if there is one, and the connection."""
        self._is_usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(CallFailed(kind, is_sent=True))
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        self._is_usable = False
        if self._transport is not None:
            self._transport.close()

    # The event loop's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._is_answered:  # a word that nobody asked for, such as a 408
            self.fail("unexpected")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail(type(error).__name__)
        if len(self._body) > MAX_BODY:
            self._finish()

    def eof_received(self) -> None:
        if self._lasts_to_the_end:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(type(exc).__name__ if exc is not None else "ConnectionClosed")
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # The parser's

    def on_message_begin(self) -> None:
        self._forget_the_last()
        if self._is_answered:  # a second answer behind the first
            self.fail("unexpected")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_all_headers:  # behind the body, where none of those stand that we heed. RFC 9110, 6.5.1
            return
        self._headers[name.decode("latin-1").title()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        headers = self._headers
        self._has_all_headers = True
        self._lasts_to_the_end = "Content-Length" not in headers and "Transfer-Encoding" not in headers

    def on_body(self, body: bytes) -> None:
        if len(self._body) <= MAX_BODY:
            self._body += body

    def on_message_complete(self) -> None:
        if self._is_answered or self._parser.get_status_code() < 200:  # not the answer yet. RFC 9110, 15.2
            return
        self._is_usable = self._parser.should_keep_alive() and not self._is_writing
        self._finish()

    def _finish(self) -> None:
        answer = self._answer
        if answer is None or answer.done():
            return
        is_plain = self._headers.get("Content-Encoding", "identity").strip().lower() == "identity"
        body = bytes(self._body) if is_plain else b""
        answer.set_result(HttpAnswer(self._parser.get_status_code(), self._headers, body))
