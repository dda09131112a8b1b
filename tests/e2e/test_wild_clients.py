"""Clients that reset, close, pipeline and don't read, all at once: every process of the API outlives them."""

import json
import random
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest

from tests.e2e.conftest import Whole
from tests.harness.api import email

BODY = json.dumps(email()).encode()
SEND = (
    b"POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
) + BODY
LOOK = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
AT_ONCE = 24
EACH = 30


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    started: Whole = start_whole(consumers=0)
    return started


def answers(connection: socket.socket, count: int) -> int:
    """How many came, when so many have or the connection ended."""
    received = b""
    while received.count(b"HTTP/1.1 ") < count and (piece := connection.recv(65536)):
        received += piece
    return received.count(b"HTTP/1.1 ")


def asks_in_turn(connection: socket.socket, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 5)):
        connection.sendall(SEND)
        assert answers(connection, 1) == 1


def asks_ahead(connection: socket.socket, chance: random.Random) -> None:
    count = chance.randint(2, 20)
    requests = b"".join(chance.choice([SEND, SEND, LOOK]) for _ in range(count))
    cut = chance.randint(0, len(requests))
    connection.sendall(requests[:cut])
    connection.sendall(requests[cut:])
    assert answers(connection, count) == count


def resets(connection: socket.socket, chance: random.Random) -> None:
    connection.sendall(SEND * chance.randint(1, 3))
    connection.settimeout(chance.random() / 30)
    with suppress(TimeoutError):
        connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closes(connection: socket.socket, chance: random.Random) -> None:
    connection.sendall(SEND[: chance.randint(1, len(SEND))])


def says_no_more(connection: socket.socket, chance: random.Random) -> None:
    connection.sendall(SEND)
    connection.shutdown(socket.SHUT_WR)
    assert answers(connection, 1) == 1


def does_not_read(connection: socket.socket, chance: random.Random) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.setblocking(False)
    with suppress(BlockingIOError):
        for _ in range(200):
            connection.send(SEND)


WAYS = (asks_in_turn, asks_ahead, resets, closes, says_no_more, does_not_read)


def test_the_apis_processes_outlive_wild_clients(whole: Whole) -> None:
    port, api = whole.system.wiring.api_port, psutil.Process(whole.system.api_process.pid)
    before = sorted(process.pid for process in api.children())

    def client(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(EACH):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                chance.choice(WAYS)(connection, chance)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        assert list(threads.map(client, range(AT_ONCE))) == [None] * AT_ONCE
    assert sorted(process.pid for process in api.children()) == before
    assert whole.system.api.post(email()).status_code == 202
