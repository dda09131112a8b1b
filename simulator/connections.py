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

    It accepts by itself: asyncio's Server, when closed, drops what it has accepted but not yet served.
    """

    def __init__(self, *, host: str, port: int, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        self._host = host
        self._protocol = protocol
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._is_open = False
        self._tasks: set[asyncio.Task[object]] = set()

    def open(self) -> None:
        if not self._is_open:
            self._is_open = True
            self._socket.listen(BACKLOG)
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def shut(self) -> None:
        """Refuses from now on. Whoever was connected already is served."""
        if self._is_open:
            self._is_open = False
            asyncio.get_running_loop().remove_reader(self._socket)
            # Whoever connects between the last accept and the close is reset: nothing may stand between them.
            self._accept()
            self._socket.close()
            self._socket = _bound(self._host, self.port)

    def _accept(self) -> None:
        """Accepts everybody who waits."""
        while True:
            try:
                connection, _ = self._socket.accept()
            except ConnectionAbortedError:
                continue
            except OSError:  # nobody waits any more, or no file descriptor is left
                return
            connection.setblocking(False)
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
