"""gunicorn's threaded worker, in which threads wait for no client, and all errors are JSON.

gunicorn gives a connection a thread at its first byte, and the thread then waits for the rest: a few dozen
slow clients stop everybody else. Here the worker's loop receives without waiting, and a thread gets what is
whole. Nor does the loop wait for a client to close, as gunicorn's does for up to 2 s each.

What gunicorn can't parse (a malformed request line, headers over its limits) it answers in HTML, and logs
the text of the request. Neither must happen here.
"""

import contextlib
import json
import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Any

from gunicorn.http import RequestParser, errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from api.arrival import Arrival, Ending
from api.commits_in_flight import CommitsInFlight
from api.errors import RETRY_AFTER, error_body
from api.fast_path import FastPath
from api.plain_requests import read_plain
from api.told import Told

log = logging.getLogger(__name__)

RECEIVE_SECONDS = 10.0
"""For a whole request, head and body, from its first byte on."""

SEND_SECONDS = 10.0
LINGER_SECONDS = 5.0
"""How long after the answer the rest of a request is taken in, so that the client can read the answer."""

MOST_HELD = 128 * 1024 * 1024
"""Bytes in one worker of requests that are incomplete or not answered yet. What comes in pieces on top is
refused: an email of the largest size takes up to a hundred million bytes while it is read."""

_PIECE = 64 * 1024

_STATUSES: list[tuple[type[Exception], HTTPStatus]] = [
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (errors.ParseException, HTTPStatus.BAD_REQUEST),
]


class Connection(TConn):
    """A connection whose requests are parsed from what was received, never from the socket."""

    parser: RequestParser

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.parser = RequestParser(cfg, (), client)
        self.initialized = True
        self.arrival = Arrival(most_body=lambda _: 0)
        self.held = 0
        """Bytes of its request in memory."""
        self.remote: str = client[0] if isinstance(client, tuple) else ""


class PatientWorker(ThreadWorker):
    """A connection is kept alive (silent, as a new one is too), pending (a request is coming in), in flight
    (the store is asked), with a thread, or lingering; the deques are in the order of their timeouts.
    ``handle`` and what begins with that name runs in the threads, all else in the loop.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lingering: deque[Connection] = deque()
        self._held = 0
        self._commits: CommitsInFlight[Connection] = CommitsInFlight(
            lambda: self.method_queue.defer(_wake_up)
        )

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self._fast_path: FastPath = self.wsgi.extensions["fast_path"]  # type: ignore[attr-defined]  # Flask

    def accept(self, listener: socket.socket) -> None:
        try:
            accepted, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, accepted, client, listener.getsockname())
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        self._watch(conn, self.on_client_socket_readable)

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """A request begins, or the client is gone."""
        if conn in self._commits:  # it is answered first, and what this is shows after
            self.poller.unregister(client)
            return
        piece = _receive(client)
        if piece is None:
            return
        if self._begin(conn, piece):
            self.keepalived_conns.remove(conn)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._expect(conn)
        self._take(conn, piece)

    def enqueue_req(self, conn: Any) -> None:
        """A request that began together with the last one; it is given a thread once it is whole."""
        self._expect(conn)
        self._take(conn, conn.parser.unreader.take_buffered())

    def on_pending_socket_readable(self, conn: Any, client: socket.socket) -> None:
        piece = _receive(client)
        if piece is not None:
            self._take(conn, piece)

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        assert timeout is not None  # gunicorn's loop has to tell that it is alive
        super().wait_for_and_dispatch_events(max(0.0, min(timeout, self._commits.seconds_left())))
        self._fast_path.commit()
        # Only now: of a connection that an answer closes, this round might have had an event yet.
        for conn, told in chain(self._commits.ended(), self._commits.overdue()):
            self._answer(conn, told)

    def murder_pending(self) -> None:
        """Called every second or more often: end what has taken too long."""
        now = time.monotonic()
        while self.pending_conns and _is_due(self.pending_conns[0], now):
            self._refuse(self.pending_conns[0], HTTPStatus.REQUEST_TIMEOUT)
        while self._lingering and _is_due(self._lingering[0], now):
            self._drop(self._lingering[0])

    def finish_request(self, conn: Any, fs: Future[bool]) -> None:
        self._let_go(conn)
        if fs.cancelled() or fs.exception() is not None or fs.result():
            super().finish_request(conn, fs)
        else:
            self._linger(conn)

    def handle_request(self, req: Any, conn: Any) -> bool:
        req._expected_100_continue = False  # it was told to continue while it was pending
        if conn.arrival.ending is Ending.CUT_OFF:
            req.force_close()
        conn.sock.settimeout(SEND_SECONDS)
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            raise StopIteration from None  # it does not read its answers; handle() then closes

    def handle_unsent(self, conn: Connection, rest: bytes, *, closes: bool) -> bool:
        """The rest of an answer, to a client that is slow to read it. Whether the connection is kept."""
        conn.sock.settimeout(SEND_SECONDS)
        with contextlib.suppress(OSError):
            conn.sock.sendall(rest)
            return not closes
        return False

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        status = next((s for kind, s in _STATUSES if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        level = logging.ERROR if status is HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
        log.log(level, "request not answered by the app kind=%s status=%d", type(exc).__name__, status)
        with contextlib.suppress(OSError):
            client.settimeout(SEND_SECONDS)
            client.sendall(_error(status, path=getattr(req, "path", None) or ""))

    def _take(self, conn: Connection, piece: bytes) -> None:
        """One more piece of a pending request; an empty one is its end."""
        arrival = conn.arrival
        if piece:
            conn.held += len(piece)
            self._held += len(piece)
            arrival.feed(piece)
        elif arrival.received:
            arrival.end()
        else:
            self._stop_receiving(conn)
            self._close(conn)
            return
        if arrival.ending is Ending.HEAD_TOO_LARGE:
            self._refuse(conn, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif arrival.ending is not None:
            self._stop_receiving(conn)
            received = bytes(arrival.received)
            arrival.received.clear()
            if arrival.ending is Ending.WHOLE and self._begin(conn, received):
                self._let_go(conn)
                return
            conn.parser.unreader.unread(received)
            super().enqueue_req(conn)
        elif self._held > MOST_HELD:
            self._refuse(conn, HTTPStatus.SERVICE_UNAVAILABLE)
        elif arrival.expects_continue:
            arrival.expects_continue = False
            with contextlib.suppress(OSError):
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _expect(self, conn: Connection) -> None:
        """It is pending from now on."""
        conn.sock.setblocking(False)
        conn.arrival = Arrival(most_body=self.wsgi.config["MOST_BODY"])  # type: ignore[attr-defined]  # Flask
        conn.timeout = time.monotonic() + RECEIVE_SECONDS
        self.pending_conns.append(conn)
        self._watch(conn, self.on_pending_socket_readable)

    def _begin(self, conn: Connection, received: bytes) -> bool:
        """Whether this is a request for the fast path; it then waits for the store, and no thread does."""
        if not self.alive or self.nr_conns > self.max_keepalived:
            return False
        request = read_plain(received)
        begun = self._fast_path.begin(request, remote=conn.remote) if request is not None else None
        if begun is None:
            return False
        self._commits.add(conn, begun)
        return True

    def _answer(self, conn: Connection, told: Told) -> None:
        closes = not self.alive  # once: a signal may change it in between
        answer = told.in_bytes(closes=closes)
        try:
            sent = conn.sock.send(answer)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._unwatch(conn)
            self._close(conn)
            return
        if sent < len(answer):
            self._unwatch(conn)
            fs = self.tpool.submit(self.handle_unsent, conn, answer[sent:], closes=closes)
            fs.add_done_callback(lambda ended: self.method_queue.defer(self.finish_request, conn, ended))
            return
        if closes:
            self._unwatch(conn)
            self._linger(conn)
            return
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        if conn.sock not in self.poller.get_map():
            self._watch(conn, self.on_client_socket_readable)

    def _stop_receiving(self, conn: Connection) -> None:
        self.pending_conns.remove(conn)
        self.poller.unregister(conn.sock)

    def _let_go(self, conn: Connection) -> None:
        self._held -= conn.held
        conn.held = 0

    def _refuse(self, conn: Any, status: HTTPStatus) -> None:
        log.info("request not taken in whole status=%d", status)
        self._stop_receiving(conn)
        self._let_go(conn)
        with contextlib.suppress(OSError):
            conn.sock.send(_error(status, path=conn.arrival.path))
        self._linger(conn)

    def _linger(self, conn: Connection) -> None:
        """Close once the client has: a connection that is closed with something unread is reset, and the
        client may lose the answer (RFC 9112, section 9.6).
        """
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.timeout = time.monotonic() + LINGER_SECONDS
        self._lingering.append(conn)
        self._watch(conn, self._discard)

    def _discard(self, conn: Connection, client: socket.socket) -> None:
        try:
            if client.recv(_PIECE):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        self._lingering.remove(conn)
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def _unwatch(self, conn: Connection) -> None:
        with contextlib.suppress(KeyError):
            self.poller.unregister(conn.sock)

    def _watch(self, conn: Connection, readable: Callable[[Any, socket.socket], None]) -> None:
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(readable, conn))


def _receive(client: socket.socket) -> bytes | None:
    """None if there is nothing yet; nothing at all if it is the end."""
    try:
        return client.recv(_PIECE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _wake_up() -> None:
    """The loop then looks what has ended."""


def _is_due(conn: TConn, now: float) -> bool:
    return conn.timeout is not None and conn.timeout <= now


def _error(status: HTTPStatus, *, path: str) -> bytes:
    body = json.dumps(error_body(status, status.phrase.lower(), path=path)).encode()
    retry_after = f"Retry-After: {RETRY_AFTER}\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"{retry_after}"
        "Connection: close\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
