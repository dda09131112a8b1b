"""Requests and answers come in whatever pieces the network makes of them."""

import asyncio
from http import HTTPStatus
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bench.raw_http import Caller, Respond, Served, answer, get, post

bodies = st.binary(max_size=50)


class Written(asyncio.Transport):
    """What was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    # asyncio's name
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


@given(st.lists(bodies, min_size=1, max_size=3), st.lists(st.integers(min_value=0), max_size=4))
def test_a_request_is_served_when_it_is_whole(payloads: list[bytes], cuts: list[int]) -> None:
    seen: list[tuple[bytes, bytes]] = []

    def serve(line: bytes, body: bytes, respond: Respond) -> None:
        seen.append((line, body))
        respond(body)

    served, transport = Served(serve), Written()
    served.connection_made(transport)
    for payload in payloads:
        for piece in pieces(post("http://127.0.0.1:1/send", payload), cuts):
            served.data_received(piece)
    assert seen == [(b"POST /send HTTP/1.1", payload) for payload in payloads]
    assert transport.written == b"".join(payloads)


@given(
    st.lists(st.tuples(st.sampled_from([HTTPStatus.ACCEPTED, HTTPStatus.BAD_REQUEST]), bodies), min_size=1),
    st.lists(st.integers(min_value=0), max_size=4),
)
def test_an_answer_is_told_when_it_is_whole(answers: list[tuple[HTTPStatus, bytes]], cuts: list[int]) -> None:
    seen: list[tuple[int, bytes]] = []
    caller = Caller(lambda _, status, body: seen.append((status, body)), lambda _: None)
    for status, body in answers:
        for piece in pieces(answer(status, body), cuts):
            caller.data_received(piece)
    assert seen == answers


def test_an_answer_without_a_length_has_no_body() -> None:
    seen: list[tuple[int, bytes]] = []
    caller = Caller(lambda _, status, body: seen.append((status, body)), lambda _: None)
    caller.data_received(b"HTTP/1.1 204 NO CONTENT\r\nServer: gunicorn\r\n\r\n")
    assert seen == [(204, b"")]


def test_a_request_has_what_it_needs() -> None:
    assert (
        get("http://127.0.0.1:1/_log?since=3") == b"GET /_log?since=3 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n"
    )
    head, _, body = post("http://127.0.0.1:1/send", b"{}", Idempotency_Key="a").partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /send HTTP/1.1",
        b"Host: 127.0.0.1:1",
        b"Content-Type: application/json",
        b"Content-Length: 2",
        b"Idempotency-Key: a",
    ]
    assert body == b"{}"
