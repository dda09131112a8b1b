"""What clients do to a connection while the store is asked, and how many may wait for it."""

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeVar

import pytest

from delivery.bootstrap import API_STORE_TIMEOUT
from tests.harness.api import email
from tests.harness.deadline import wait_until
from tests.harness.line import Line
from tests.harness.store import StoreDatabase
from tests.harness.system import System

BODY = json.dumps(email()).encode()
HEAD = (
    b"POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
)
WAITING = 200  # more than there are threads
TRIES = 10

Connect = Callable[[], socket.socket]
T = TypeVar("T")


@pytest.fixture
def line(database: StoreDatabase, line_to: Callable[[int], Line]) -> Line:
    return line_to(database.port)


@pytest.fixture
def system(start_system: Callable[..., System], database: StoreDatabase, line: Line) -> System:
    started = start_system(consumers=0, mongodb_uri=line.over(database.uri))
    started.api.send_many([email()] * 8)  # now both processes know who calls
    return started


@pytest.fixture
def connect(system: System) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect() -> socket.socket:
            address = ("127.0.0.1", system.wiring.api_port)
            return stack.enter_context(socket.create_connection(address, timeout=60))

        yield connect


def statuses(connection: socket.socket, count: int) -> list[int]:
    """Of the next answers."""
    found = []
    with connection.makefile("rb") as reader:
        for _ in range(count):
            found.append(int(reader.readline().split()[1]))
            head = iter(reader.readline, b"\r\n")
            lengths = [
                int(line.split(b":")[1]) for line in head if line.lower().startswith(b"content-length:")
            ]
            reader.read(lengths[0])
    return found


def accepted(database: StoreDatabase) -> int:
    return database["emails"].count_documents({})


def while_silent(line: Line, system: System, do: Callable[[], T]) -> T:
    """Do it while the store is silent, but not for so long that the API has given it up, which would show
    nothing: where that was so, the machine may have stood still, and it is done once more."""
    for _ in range(TRIES):
        line.stall()
        began = time.monotonic()
        done = do()
        took = time.monotonic() - began
        line.restore()
        if took < API_STORE_TIMEOUT.total_seconds():
            return done
        wait_until(
            lambda: system.api.post(email()).status_code == 202, within=60, what="emails are accepted again"
        )
    return pytest.fail(f"it always takes longer than the API waits for the store, {took:.1f} s at last")


def test_while_the_store_is_silent_those_who_wait_for_it_hold_no_threads(
    system: System, line: Line, connect: Connect
) -> None:
    """With a thread for each, who needs no store would be answered after most of them have been refused."""

    def ask_behind_those_who_wait() -> tuple[int, list[socket.socket]]:
        waiting = [connect() for _ in range(WAITING)]
        for connection in waiting:
            connection.sendall(HEAD + BODY)
        status = system.api.request("GET", "/livez").status_code
        answered, _, _ = select.select(waiting, [], [], 0)
        return status, answered

    assert while_silent(line, system, ask_behind_those_who_wait) == (200, [])


def test_those_who_wait_for_a_store_that_stays_silent_are_refused(
    system: System, line: Line, connect: Connect
) -> None:
    line.stall()
    waiting = [connect() for _ in range(WAITING)]
    for connection in waiting:
        connection.sendall(HEAD + BODY)
    assert [statuses(connection, 1) for connection in waiting] == [[503]] * WAITING
    line.restore()
    wait_until(
        lambda: system.api.post(email()).status_code == 202, within=60, what="emails are accepted again"
    )


def test_a_request_in_pieces_is_answered_like_one_in_a_piece(connect: Connect) -> None:
    connection = connect()
    for _ in range(3):
        connection.sendall(HEAD)
        connection.sendall(BODY)
        assert statuses(connection, 1) == [202]


def test_requests_that_come_before_the_last_one_is_answered_are_answered_after_it(
    connect: Connect, database: StoreDatabase
) -> None:
    before, connection = accepted(database), connect()
    for _ in range(20):
        connection.sendall(HEAD + BODY)
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + HEAD + BODY)
    assert statuses(connection, 22) == [*[202] * 20, 200, 202]
    assert accepted(database) == before + 21


def test_what_was_asked_for_by_a_client_that_is_gone_is_done_all_the_same(
    system: System, connect: Connect, database: StoreDatabase, line: Line
) -> None:
    def send_and_be_gone() -> int:
        before = accepted(database)
        for _ in range(20):
            connection = connect()
            connection.sendall(HEAD + BODY)
            connection.close()
        return before

    before = while_silent(line, system, send_and_be_gone)
    wait_until(lambda: accepted(database) == before + 20, within=60, what="all of them are accepted")
    assert system.api.post(email()).status_code == 202


def test_a_stopping_process_answers_what_it_began_and_closes(
    system: System, connect: Connect, line: Line, database: StoreDatabase
) -> None:
    before = accepted(database)
    line.stall()
    waiting = [connect() for _ in range(20)]
    for connection in waiting:
        connection.sendall(HEAD + BODY)
    assert system.api.request("GET", "/livez").status_code == 200  # by now those are being written
    system.api_process.terminate()
    line.restore()
    answers = [statuses(connection, 1) for connection in waiting]
    assert [connection.recv(1) for connection in waiting] == [b""] * len(waiting)
    assert system.api_process.stop(60) == 0
    assert answers.count([202]) == accepted(database) - before
