"""A client's connection, as the worker's loop has it."""

import socket
import time
from typing import Any

from gunicorn.http import RequestParser
from gunicorn.workers.gthread import TConn

from api.arrival import Arrival

_PIECE = 64 * 1024


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


def is_due(conn: TConn) -> bool:
    """Whether its time for what it is at is over."""
    return conn.timeout is not None and conn.timeout <= time.monotonic()


def receive(client: socket.socket) -> bytes | None:
    """What there is, without waiting. None if there is nothing yet; nothing at all if it is the end."""
    try:
        return client.recv(_PIECE)
    except BlockingIOError:
        return None
    except OSError:
        return b""
