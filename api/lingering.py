"""Connections that have had their last answer, until their clients have closed them, too.

A connection that is closed with something unread is reset, and the client may lose the answer (RFC 9112,
section 9.6).
"""

import socket
import time
from collections import deque
from collections.abc import Callable

from api.connection import Connection, is_due, receive

SECONDS = 5.0
"""How long after the answer the rest of a request is taken in, so that the client can read the answer."""


class Lingering:
    """For the loop's thread.

    watch: has a function called when there is something to receive, until ``unwatch``. close: is given each
    connection once, when its client has closed it or its time is over.
    """

    def __init__(
        self,
        *,
        watch: Callable[[Connection, Callable[[Connection, socket.socket], None]], None],
        unwatch: Callable[[Connection], None],
        close: Callable[[Connection], None],
    ) -> None:
        self._watch = watch
        self._unwatch = unwatch
        self._close = close
        self._connections: deque[Connection] = deque()  # in the order of their timeouts

    def add(self, conn: Connection) -> None:
        """Nobody else may watch it any more."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.timeout = time.monotonic() + SECONDS
        self._connections.append(conn)
        self._watch(conn, self._discard)

    def end_overdue(self) -> None:
        while self._connections and is_due(self._connections[0]):
            self._drop(self._connections[0])

    def _discard(self, conn: Connection, client: socket.socket) -> None:
        if receive(client) == b"":
            self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        self._connections.remove(conn)
        self._unwatch(conn)
        self._close(conn)
