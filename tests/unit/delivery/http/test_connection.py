"""Answers cut anywhere, over a connection that is none."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.http.connection import KEPT_FOR, MAX_BODY, CallFailed, Connection, HttpAnswer

OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"content-length: 5\r\nretry-after: 7\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n"
TO_THE_END = OK + b"\r\nhello"
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN
WITHOUT_BODY = b"HTTP/1.1 204 No Content\r\n\r\n"


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.wrote = asyncio.Semaphore(0)
        self.ends: list[str] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.wrote.release()

    def is_closing(self) -> bool:
        return bool(self.ends)

    def abort(self) -> None:
        self.ends.append("abort")

    def close(self) -> None:
        self.ends.append("close")


class Called:
    """A connection over which one call is out."""

    def __init__(self, parts: Sequence[bytes] = ()) -> None:
        self.transport = Transport()
        self.connection = Connection()
        self.connection.connection_made(cast(asyncio.Transport, self.transport))
        self.call = asyncio.create_task(self.connection.call(b"head", parts))

    async def hear(self, *parts: bytes, eof: bool = False) -> None:
        await asyncio.sleep(0)
        for part in parts:
            self.connection.data_received(part)
        if eof:
            self.connection.eof_received()
            self.connection.connection_lost(None)


def heard(*parts: bytes, eof: bool = False) -> tuple[HttpAnswer, bool]:
    """The answer, and whether the connection can take another call."""

    async def run() -> tuple[HttpAnswer, bool]:
        called = Called()
        await called.hear(*parts, eof=eof)
        return await called.call, called.connection.is_usable

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "status", "body", "is_usable"),
    [
        (PLAIN, 200, b"hello", True),
        (CHUNKED, 200, b"hello", True),
        (TO_THE_END, 200, b"hello", False),
        (CONTINUED, 200, b"hello", True),
        (WITHOUT_BODY, 204, b"", True),
        (b"HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 500, b"no", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 200, b"", True),
        (OK + b"Content-Encoding: Identity \r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
        (CHUNKED.replace(b"Trailer: 1", b"Content-Encoding: gzip"), 200, b"hello", True),
        (PLAIN + WITHOUT_BODY.replace(b"\r\n\r\n", b"\r\nRetry-After: 9\r\n\r\n"), 200, b"hello", False),
    ],
    ids=[
        "plain",
        "chunked",
        "to the end",
        "continued",
        "without",
        "closes",
        "1.0",
        "encoded",
        "plain and said so",
        "a trailer",
        "another behind",
    ],
)
@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_an_answer_however_it_is_cut(
    answer: bytes, status: int, body: bytes, is_usable: bool, cuts: list[int]
) -> None:
    places = sorted({0, len(answer), *(min(cut, len(answer)) for cut in cuts)})
    parts = [answer[start:stop] for start, stop in pairwise(places)]
    got, may_go_on = heard(*parts, eof=answer is TO_THE_END)
    assert (got.status, got.body, may_go_on) == (status, body, is_usable)


def test_headers_are_found_whatever_their_case() -> None:
    assert heard(PLAIN)[0].headers["Retry-After"] == "7"


def test_what_stands_behind_an_answer_changes_nothing_of_it() -> None:
    got, may_go_on = heard(PLAIN + b"HTTP/1.1 503 Oops\r\nRetry-After: 99\r\nContent-Le")
    assert (got.status, got.body, got.headers["Retry-After"]) == (200, b"hello", "7")
    assert not may_go_on
    trailed, _ = heard(CHUNKED.replace(b"Trailer: 1", b"Retry-After: 99"))
    assert "Retry-After" not in trailed.headers


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"", KEPT_FOR),
        (b"Keep-Alive: timeout=5, max=100\r\n", 4.0),
        (b"keep-alive: max=100, Timeout = 5\r\n", 4.0),
        (b"Keep-Alive: timeout=1\r\n", 0.0),
        (b"Keep-Alive: timeout=3600\r\n", KEPT_FOR),
        (b"Keep-Alive: timeout=soon\r\n", KEPT_FOR),
        (b"Keep-Alive: 300\r\n", KEPT_FOR),
    ],
    ids=["nothing", "5 s", "5 s, written otherwise", "1 s", "an hour", "nonsense", "no name"],
)
def test_a_connection_may_idle_for_somewhat_less_than_the_other_end_promises(
    header: bytes, seconds: float
) -> None:
    async def run() -> float:
        called = Called()
        await called.hear(OK + header + b"Content-Length: 0\r\n\r\n")
        await called.call
        return called.connection.may_idle_for

    assert asyncio.run(run()) == seconds


def test_nothing_of_one_answer_is_taken_for_the_next() -> None:
    """The first has no length and no body; of the second nothing comes but the end."""

    async def run() -> CallFailed:
        called = Called()
        await called.hear(WITHOUT_BODY)
        await called.call
        second = asyncio.create_task(called.connection.call(b"head", ()))
        await called.hear(eof=True)
        with pytest.raises(CallFailed) as failed:
            await second
        return failed.value

    assert str(asyncio.run(run())) == "ConnectionClosed"


def test_of_a_body_that_is_too_long_there_is_the_beginning() -> None:
    endless = OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    more = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    got, may_go_on = heard(endless, *[more] * (MAX_BODY // 0x1000))
    assert set(got.body) == {ord("x")}
    assert len(got.body) > MAX_BODY
    assert not may_go_on


def _fails(harm: Callable[[Called], Any]) -> CallFailed:
    async def run() -> CallFailed:
        called = Called()
        await called.hear()
        harm(called)
        with pytest.raises(CallFailed) as failed:
            await called.call
        assert not called.connection.is_usable
        return failed.value

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (lambda called: called.connection.data_received(b"nonsense\r\n\r\n"), "HttpParserError"),
        (lambda called: called.connection.connection_lost(None), "ConnectionClosed"),
        (
            lambda called: called.connection.connection_lost(ConnectionResetError("ann")),
            "ConnectionResetError",
        ),
        (lambda called: called.connection.fail("TimeoutError"), "TimeoutError"),
    ],
    ids=["nonsense", "closed", "reset", "late"],
)
def test_what_ends_a_call_that_is_out(harm: Callable[[Called], Any], kind: str) -> None:
    failed = _fails(harm)
    assert (str(failed), failed.is_sent) == (kind, True)


def test_a_body_that_breaks_off_is_no_answer() -> None:
    def break_off(called: Called) -> None:
        called.connection.data_received(PLAIN[:-1])
        called.connection.eof_received()
        called.connection.connection_lost(None)

    assert str(_fails(break_off)) == "ConnectionClosed"


def test_what_is_said_between_two_calls_is_nobodys_answer() -> None:
    async def run() -> tuple[bool, CallFailed]:
        called = Called()
        await called.hear(PLAIN)
        await called.call
        called.connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        with pytest.raises(CallFailed) as failed:
            await called.connection.call(b"head", ())
        return called.transport.written == [b"head"], failed.value

    is_first_only, failed = asyncio.run(run())
    assert is_first_only
    assert not failed.is_sent


def test_whoever_answers_before_the_end_of_the_body_gets_no_more_of_it() -> None:
    async def run() -> tuple[HttpAnswer, list[bytes], bool]:
        called = Called([b"one", b"two", b"three"])
        called.connection.pause_writing()
        await called.hear()
        called.connection.resume_writing()
        called.connection.pause_writing()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        called.connection.data_received(PLAIN)
        return await called.call, called.transport.written, called.connection.is_usable

    answer, written, is_usable = asyncio.run(run())
    assert answer.body == b"hello"
    assert written[0] == b"head"
    assert b"three" not in written
    assert not is_usable


def test_the_parts_of_a_body_wait_until_the_connection_takes_them() -> None:
    async def run() -> tuple[list[bytes], list[bytes]]:
        called = Called([b"one", b"two"])
        called.connection.pause_writing()
        await called.hear()
        before = list(called.transport.written)
        called.connection.resume_writing()
        for _ in range(3):
            await called.transport.wrote.acquire()
        await called.hear(PLAIN)
        await called.call
        return before, called.transport.written

    assert asyncio.run(run()) == ([b"head"], [b"head", b"one", b"two"])
