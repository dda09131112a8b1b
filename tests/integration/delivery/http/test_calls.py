"""Calls to real servers: which connections are kept, and what comes of those that can't be made."""

import asyncio
import queue
import socket
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from delivery.http.calls import HttpCalls
from delivery.http.connection import Body, CallFailed
from tests.harness.programs import need

T = TypeVar("T")
YES = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"


class Server:
    """Answers each request with the same bytes. Each connection's requests are kept apart."""

    def __init__(self, answer: bytes = YES, *, closes: bool = False) -> None:
        self._answer = answer
        self._closes = closes
        self.connections: list[list[bytes]] = []
        self.came = asyncio.Semaphore(0)
        self.ended = asyncio.Semaphore(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: list[bytes] = []
        self.connections.append(requests)
        while request := await _read(reader):
            requests.append(request)
            self.came.release()
            writer.write(self._answer)
            if self._closes:
                break
        writer.close()
        self.ended.release()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    sizes = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")]
    return head + (await reader.readexactly(int(sizes[0].split(b":")[1])) if sizes else b"")


def calling(
    make: Callable[[], Server],
    work: Callable[[HttpCalls, Server], Awaitable[T]],
    *,
    path: str = "/api",
    total_timeout: float = 30,
    tls: ssl.SSLContext | None = None,
) -> T:
    async def run() -> T:
        server = make()
        async with await asyncio.start_server(server.serve, "localhost", 0, ssl=tls) as listening:
            port = listening.sockets[0].getsockname()[1]
            scheme = "https" if tls else "http"
            calls = HttpCalls(
                f"{scheme}://localhost:{port}{path}", connect_timeout=10, total_timeout=total_timeout
            )
            try:
                return await work(calls, server)
            finally:
                calls.close()

    return asyncio.run(run())


def test_what_is_sent_is_what_http_asks_for() -> None:
    async def work(calls: HttpCalls, server: Server) -> list[list[bytes]]:
        assert (await calls.post_json("", b'{"a":1}')).body == b"yes"
        await calls.get("/1")
        await calls.post_json("/2", Body(4, [b"tw", b"o."]))
        return server.connections

    ((first, second, third),) = calling(Server, work)
    head, body = first.split(b"\r\n\r\n")
    assert body == b'{"a":1}'
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /api HTTP/1.1"
    assert {line.partition(":")[0] for line in lines[1:]} >= {"Host", "Content-Type", "Content-Length"}
    assert second.startswith(b"GET /api/1 HTTP/1.1\r\nHost: localhost:")
    assert third.startswith(b"POST /api/2 ")
    assert third.endswith(b"\r\n\r\ntwo.")


def test_connections_are_kept_and_only_as_many_made_as_calls_are_out() -> None:
    async def work(calls: HttpCalls, server: Server) -> list[int]:
        await asyncio.gather(*(calls.get("") for _ in range(3)))
        await asyncio.gather(*(calls.get("") for _ in range(3)))
        return [len(requests) for requests in server.connections]

    assert calling(Server, work) == [2, 2, 2]


def test_a_connection_that_the_server_closed_takes_no_further_call() -> None:
    async def work(calls: HttpCalls, server: Server) -> int:
        for _ in range(3):
            await calls.get("")
            await server.ended.acquire()
            await asyncio.to_thread(int)  # a turn of the loop, which shows the end
        return len(server.connections)

    assert calling(lambda: Server(closes=True), work) == 3


def test_nor_does_one_whose_end_the_event_loop_has_not_read_yet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heads: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        may_close, has_closed = threading.Event(), threading.Event()

        def serve() -> None:
            for _ in range(2):
                connection, _ = listening.accept()
                with connection:
                    heads.put(connection.recv(4096))
                    connection.sendall(YES)
                    may_close.wait(30)
                has_closed.set()

        async def run() -> bytes:
            calls = HttpCalls(
                f"http://127.0.0.1:{listening.getsockname()[1]}", connect_timeout=10, total_timeout=30
            )
            await calls.get("/1")
            may_close.set()
            assert has_closed.wait(30)  # and the loop stands still meanwhile
            answer = await calls.get("/2")
            calls.close()
            return answer.body

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            assert asyncio.run(run()) == b"yes"
        finally:
            serving.join()
    assert [heads.get_nowait().split()[1] for _ in range(2)] == [b"/1", b"/2"]


def test_a_connection_is_not_kept_for_longer_than_the_server_promises() -> None:
    async def work(calls: HttpCalls, server: Server) -> int:
        await calls.get("")
        await calls.get("")
        return len(server.connections)

    impatient = YES.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=1\r\n\r\n")
    assert calling(lambda: Server(impatient), work) == 2


def test_a_call_that_is_given_up_leaves_its_connection_to_nobody() -> None:
    async def work(calls: HttpCalls, server: Server) -> int:
        call = asyncio.create_task(calls.get(""))
        await server.came.acquire()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await server.ended.acquire()
        return len(server.connections)

    assert calling(lambda: Server(b""), work) == 1


def test_an_answer_that_does_not_come_in_time_is_none() -> None:
    async def work(calls: HttpCalls, _: Server) -> CallFailed:
        with pytest.raises(CallFailed) as failed:
            await calls.get("")
        return failed.value

    failed = calling(lambda: Server(b""), work, total_timeout=0.2)
    assert (str(failed), failed.is_sent) == ("TimeoutError", True)


def test_a_name_and_password_in_the_address_are_sent() -> None:
    async def run() -> bytes:
        server = Server()
        async with await asyncio.start_server(server.serve, "localhost", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            calls = HttpCalls(f"http://us%40er:pw@localhost:{port}", connect_timeout=10, total_timeout=30)
            await calls.get("")
            calls.close()
        return server.connections[0][0]

    assert b"\r\nAuthorization: Basic dXNAZXI6cHc=\r\n" in asyncio.run(run())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost, and with its key."""
    need("openssl")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += f" -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {path} -out {path}.crt"
    subprocess.run(command.split(), check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def _tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_that_is_trusted_is_enough(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def work(calls: HttpCalls, server: Server) -> int:
        await calls.get("")
        await calls.get("")
        return len(server.connections)

    assert calling(Server, work, tls=_tls(certificate)) == 1


def test_nothing_is_sent_to_whoever_has_no_certificate_that_is_trusted(certificate: Path) -> None:
    async def work(calls: HttpCalls, server: Server) -> tuple[CallFailed, list[list[bytes]]]:
        with pytest.raises(CallFailed) as failed:
            await calls.get("")
        return failed.value, server.connections

    failed, connections = calling(Server, work, tls=_tls(certificate))
    assert (str(failed), failed.is_sent) == ("SSLCertVerificationError", False)
    assert connections == []
