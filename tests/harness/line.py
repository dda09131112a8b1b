"""A TCP line to a broker or store that can be cut, stalled, lost and restored."""

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from itertools import count, repeat
from typing import Any
from urllib.parse import urlsplit

_CHUNK = 65_536


class Line:
    """Listens on a free port and passes everything on to `target_port` on the loopback interface.

    Give `port` to the process under test instead of the server's own. Close it at the end.
    answers_after: seconds that every piece of an answer is held back, as a distant server's would be.
    """

    def __init__(self, target_port: int, *, answers_after: float = 0.0) -> None:
        self.target_port = target_port
        self._answers_after = answers_after
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-line", daemon=True)
        self._thread.start()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._limits: Iterator[int] = repeat(sys.maxsize)
        self.port = 0
        self.restore()

    def over(self, url: str) -> str:
        """The same URL of the target, by way of this line."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{login}{at}127.0.0.1:{self.port}").geturl()

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        self._call(self._cut())

    def stall(self) -> None:
        """Keep every connection and take new ones, but pass nothing on, in either direction."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def lose_connections(self) -> None:
        """Every connection is half-open from now on, at both ends: nothing more comes through, not even its
        end, as when a firewall forgot it. New ones are taken."""
        self._call(self._lose())

    def restore(self) -> None:
        """Take connections again, pass on what a stall held back, and break no more of them."""
        self._limits = repeat(sys.maxsize)
        self._call(self._restore())

    def break_connections(self, *, first: int, more: int) -> None:
        """Reset each new connection once the target sent so many bytes on it: `first` on the next one, and
        on each later one `more` than on the one before. So each step of getting connected fails in turn."""
        self._limits = count(first, more)

    def reset_connections(self) -> None:
        """Reset every connection; new ones are taken."""
        self._call(self._reset())

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._call(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _restore(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
        self._flowing.set()

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _reset(self) -> None:
        for end in list(self._ends):
            end.transport.abort()
        await self._lose()

    async def _lose(self) -> None:
        """The ends stay open: whoever writes to one is heard by nobody."""
        for task in list(self._passing):
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        self._ends |= {writer, there_writer}
        there = self._pass(reader, there_writer, sys.maxsize, delay=0.0)
        back = self._pass(there_reader, writer, next(self._limits), delay=self._answers_after)
        for passing in (there, back):
            task = asyncio.create_task(passing)
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, limit: int, *, delay: float
    ) -> None:
        with suppress(OSError):
            while chunk := await source.read(min(limit, _CHUNK)):
                if delay:
                    await asyncio.sleep(delay)
                await self._flowing.wait()
                sink.write(chunk)
                await sink.drain()
                limit -= len(chunk)
                if limit <= 0:
                    sink.transport.abort()
        await self._flowing.wait()  # a stall holds back a connection's end, too
        self._ends.discard(sink)
        sink.close()
