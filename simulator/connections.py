"""The provider's port at the level of TCP: refusing connections, and resetting them."""

import asyncio
import socket
import struct
from collections.abc import Callable

LINGER_ZERO = struct.pack("ii", 1, 0)
BACKLOG = 1024


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Ends a connection with RST instead of FIN: closing a socket with a linger time of 0 does that."""
    if not isinstance(transport, asyncio.Transport):
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    transport.abort()


class ResetAtOnce(asyncio.Protocol):
    """A connection that is reset before anything is read from it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        reset(transport)


class ProviderPort:
    """A listening port that can be shut, so that connecting to it is refused, and opened again.

    While it is shut the number stays ours: a bound socket that doesn't listen refuses connections and keeps
    other processes from being given the port. Connections that exist are left alone.
    """

    def __init__(self, *, host: str, port: int, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        self._host = host
        self._protocol = protocol
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    async def open(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._protocol, sock=self._socket, backlog=BACKLOG)

    def shut(self) -> None:
        """Refuses from now on. Callers who were connected but not yet accepted are served, not cut off."""
        if self._server is None:
            return
        waiting = _accept_all(self._socket)
        self._server.close()
        self._server = None
        self._socket = _bound(self._host, self.port)
        for connection in waiting:
            self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        task: asyncio.Task[object] = loop.create_task(
            loop.connect_accepted_socket(self._protocol, connection)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setblocking(False)
    listener.bind(address)
    return listener


def _accept_all(listener: socket.socket) -> list[socket.socket]:
    connections: list[socket.socket] = []
    while True:
        try:
            connection, _ = listener.accept()
        except ConnectionAbortedError:
            continue
        except BlockingIOError:
            return connections
        connection.setblocking(False)
        connections.append(connection)
