"""The addresses of one host, looked up once for all who ask at about the same time."""

import asyncio
from collections.abc import Sequence
from socket import SOCK_STREAM

from aiohappyeyeballs import AddrInfoType

KEPT_FOR = 10.0
"""Seconds. A burst of calls makes many connections at once, and a loop has few threads for lookups."""


class Lookups:
    """Belongs to the event loop that it is first used on."""

    def __init__(self, host: str | None, port: int | None) -> None:
        self._host = host
        self._port = port
        self._lookup: asyncio.Task[Sequence[AddrInfoType]] | None = None
        self._kept_until = 0.0

    async def addresses(self, loop: asyncio.AbstractEventLoop) -> Sequence[AddrInfoType]:
        """Raises OSError, or ValueError for a host that is no name. Who is cancelled ends nobody else's."""
        if self._lookup is None or loop.time() >= self._kept_until:
            self._kept_until = loop.time() + KEPT_FOR
            self._lookup = loop.create_task(self._look_up(loop))
            self._lookup.add_done_callback(self._drop_failed)
        return await asyncio.shield(self._lookup)

    def forget(self) -> None:
        """What was found was of no use."""
        self._lookup = None

    async def _look_up(self, loop: asyncio.AbstractEventLoop) -> Sequence[AddrInfoType]:
        return await loop.getaddrinfo(self._host, self._port, type=SOCK_STREAM)

    def _drop_failed(self, lookup: "asyncio.Task[Sequence[AddrInfoType]]") -> None:
        if (lookup.cancelled() or lookup.exception() is not None) and self._lookup is lookup:
            self._lookup = None
