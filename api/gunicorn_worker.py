"""gunicorn's threaded worker, in which threads wait for no client, and all errors are JSON.

gunicorn gives a connection a thread at its first byte, and the thread then waits for the rest: a few dozen
slow clients stop everybody else. Here the worker's loop receives without waiting, and a thread gets what is
whole. Nor does the loop wait for a client to close, as gunicorn's does for up to 2 s each.
"""

import contextlib
import logging
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from api.arrival import Arrival, Ending
from api.commits_in_flight import CommitsInFlight
from api.connection import Connection, is_due, receive
from api.fast_path import FastPath
from api.lingering import Lingering
from api.plain_requests import read_plain
from api.told import Told
from api.unreadable_requests import last_answer, status_of

log = logging.getLogger(__name__)

RECEIVE_SECONDS = 10.0
"""For a whole request, head and body, from its first byte on."""

SEND_SECONDS = 10.0

MOST_HELD = 128 * 1024 * 1024
"""Bytes in one worker of requests that are incomplete or not answered yet. What comes in pieces on top is
refused: an email of the largest size takes up to a hundred million bytes while it is read."""


class PatientWorker(ThreadWorker):
    """A connection is kept alive (silent, as a new one is too), pending (a request is coming in), in flight
    (the store is asked), with a thread, or lingering; the deques are in the order of their timeouts.
    ``handle`` and what begins with that name runs in the threads, all else in the loop.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held = 0
        self._lingering = Lingering(watch=self._watch, unwatch=self._unwatch, close=self._close)
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
        piece = receive(client)
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
        piece = receive(client)
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
        while self.pending_conns and is_due(self.pending_conns[0]):
            self._refuse(self.pending_conns[0], HTTPStatus.REQUEST_TIMEOUT)
        self._lingering.end_overdue()

    def finish_request(self, conn: Any, fs: Future[bool]) -> None:
        self._let_go(conn)
        if fs.cancelled() or fs.exception() is not None or fs.result():
            super().finish_request(conn, fs)
        else:
            self._lingering.add(conn)

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
        status = status_of(exc)
        level = logging.ERROR if status is HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
        log.log(level, "request not answered by the app kind=%s status=%d", type(exc).__name__, status)
        with contextlib.suppress(OSError):
            client.settimeout(SEND_SECONDS)
            client.sendall(last_answer(status, path=getattr(req, "path", None) or ""))

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
            self._lingering.add(conn)
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
            conn.sock.send(last_answer(status, path=conn.arrival.path))
        self._lingering.add(conn)

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def _unwatch(self, conn: Connection) -> None:
        with contextlib.suppress(KeyError):
            self.poller.unregister(conn.sock)

    def _watch(self, conn: Connection, readable: Callable[[Any, socket.socket], None]) -> None:
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(readable, conn))


def _wake_up() -> None:
    """The loop then looks what has ended."""
