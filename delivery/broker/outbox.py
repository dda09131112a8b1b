"""The outbox of a process: debts are handed over without waiting and published in natural batches."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from delivery.domain.errors import StoreUnavailable
from delivery.use_cases.publish_owed import Owed

log = logging.getLogger(__name__)

MAX_BATCH = 1000
MAX_WAITING = 50_000
"""Debts a process keeps in memory; what is beyond, or unconfirmed, stays owed in the store for the relay."""


class Outbox:
    """Belongs to the event loop it is made on."""

    def __init__(self, publish: Callable[[Sequence[Owed]], Awaitable[int]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._publish = publish
        self._waiting: deque[Owed] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def hand_over(self, owed: Sequence[Owed]) -> None:
        """Take debts to publish soon. Never blocks, never fails. Call it on the outbox's loop."""
        room = MAX_WAITING - len(self._waiting)
        if owed and room > 0:
            self._waiting.extend(owed[:room])
            self._idle.clear()
            self._wake.set()

    def hand_over_from_thread(self, owed: Sequence[Owed]) -> None:
        """The same from any other thread; returns at once."""
        self._loop.call_soon_threadsafe(self.hand_over, owed)

    async def run(self) -> None:
        """Publish what is handed over, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
                try:
                    await self._publish(batch)
                except StoreUnavailable:
                    log.warning("store away: confirmed debts not struck count=%d", len(batch))
                except Exception as error:  # whatever one batch met, the next ones are published
                    log.error("debts left to the relay count=%d error=%s", len(batch), type(error).__name__)
            self._idle.set()

    async def drained(self) -> None:
        """Wait until nothing that was handed over waits any more."""
        await self._idle.wait()
