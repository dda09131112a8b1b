"""Clients that send slowly, or nothing, or don't close, hold up nobody else."""

import json
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import Whole
from tests.harness.api import Api, email
from tests.harness.deadline import wait_until

HEAD = b"POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SLOW = 80  # more than there are threads
SILENT = 300


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    started: Whole = start_whole(consumers=0)
    return started


@pytest.fixture
def api(whole: Whole) -> Api:
    return whole.system.api


@pytest.fixture
def connect(whole: Whole) -> Iterator[Callable[[], socket.socket]]:
    with ExitStack() as stack:

        def connect() -> socket.socket:
            address = ("127.0.0.1", whole.system.wiring.api_port)
            return stack.enter_context(socket.create_connection(address, timeout=60))

        yield connect


Connect = Callable[[], socket.socket]


def serves(api: Api) -> None:
    assert api.request("GET", "/livez").status_code == 200
    assert api.post(email()).status_code == 202


def answer(connection: socket.socket) -> tuple[int, object]:
    """Status and JSON of the next answer."""
    with connection.makefile("rb") as reader:
        status = int(reader.readline().split()[1])
        length = 0
        while (line := reader.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return status, json.loads(reader.read(length)) if length else None


def test_slow_and_silent_clients_hold_up_nobody_and_are_told_that_they_are_late(
    api: Api, connect: Connect
) -> None:
    _silent = [connect() for _ in range(SILENT)]
    slow = [connect() for _ in range(SLOW)]
    for number, connection in enumerate(slow):
        parts = [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n64\r\n{", b"X-Half: "]
        connection.sendall(HEAD + parts[number % len(parts)])
    serves(api)
    late = (408, {"status": "denied", "reason": "request timeout"})
    assert [answer(connection) for connection in slow] == [late] * SLOW


def test_whoever_drips_is_late_too(connect: Connect) -> None:
    connection = connect()
    connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")

    def is_answered() -> bool:
        connection.sendall(b" ")
        return bool(select.select([connection], [], [], 0.1)[0])

    wait_until(is_answered, within=60, what="the request is answered")
    assert answer(connection)[0] == 408


def test_clients_that_do_not_close_hold_up_nobody(api: Api, connect: Connect) -> None:
    open_ones = [connect() for _ in range(SLOW)]
    for connection in open_ones:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    serves(api)
    assert [answer(connection)[0] for connection in open_ones] == [200] * SLOW


def test_a_client_that_waits_to_be_told_sends_its_body_then(connect: Connect) -> None:
    body = json.dumps(email()).encode()
    connection = connect()
    connection.sendall(HEAD + f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
    assert answer(connection) == (100, None)
    connection.sendall(body)
    assert answer(connection)[0] == 202


def test_a_body_in_pieces_and_two_requests_at_once_are_taken(connect: Connect) -> None:
    body = json.dumps(email(message="x" * 200_000)).encode()
    request = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    connection = connect()
    connection.sendall(request + request + b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with connection.makefile("rb") as reader:
        wanted = {b"HTTP/1.1 202 ACCEPTED\r\n": 2, b"HTTP/1.1 200 OK\r\n": 1}
        for line in reader:
            if line in wanted:
                wanted[line] -= 1
            if not any(wanted.values()):
                break
    assert not any(wanted.values())


def test_half_a_request_of_a_client_that_is_gone_is_answered_or_forgotten(api: Api, connect: Connect) -> None:
    for part in (b"", b"POST /send", HEAD + b"Content-Length: 100\r\n\r\n{"):
        connection = connect()
        connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000)[:13] in (b"", b"HTTP/1.1 400 ")
    serves(api)
