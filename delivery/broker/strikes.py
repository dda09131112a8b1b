"""Debts that the broker confirmed, struck together a little later: by then, claims have struck most."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from delivery.domain.errors import StoreUnavailable
from delivery.domain.owed import OwedEmail

log = logging.getLogger(__name__)

MAX_BATCH = 500
"""Looked at together."""

LONGEST = timedelta(seconds=2)
"""How long a debt waits at least, and the first of a batch half as long again: for others to come along."""

MAX_WAITING = 50_000
"""What is beyond is not struck here: the relay publishes it once more, which its claim makes harmless."""


class Debts(Protocol):
    def still_owed(self, published: Iterable[OwedEmail]) -> list[OwedEmail]: ...

    def clear_owed(self, published: Iterable[OwedEmail], *, now: datetime) -> None: ...


class Strikes:
    """relay_grace: how old a debt is before the relay steps in. Belongs to the event loop it is made on."""

    def __init__(self, debts: Debts, *, relay_grace: timedelta, clock: Callable[[], datetime]) -> None:
        self._debts = debts
        self._after = min(LONGEST, relay_grace / 3).total_seconds()
        self._together = self._after / 2
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, OwedEmail]] = deque()
        self._arrived = asyncio.Event()
        self._nothing_left = asyncio.Event()
        self._nothing_left.set()
        self._hurry = asyncio.Event()

    async def add(self, confirmed: Sequence[OwedEmail]) -> None:
        """Take debts to strike soon. Never waits, never fails."""
        due = self._loop.time() + self._after
        room = max(0, MAX_WAITING - len(self._waiting))
        self._waiting.extend((due, debt) for debt in confirmed[:room])
        if self._waiting:
            self._nothing_left.clear()
            self._arrived.set()

    async def run(self) -> None:
        """Strike what is added, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._until(self._waiting[0][0] + self._together)
                await self._strike()
            self._nothing_left.set()

    async def drained(self) -> None:
        """Strike what waits without waiting longer; returns when nothing is left."""
        self._hurry.set()
        await self._nothing_left.wait()

    async def _until(self, due: float) -> None:
        """A time to wait, however much is added meanwhile: one call to the store strikes all of it."""
        try:
            async with asyncio.timeout_at(due):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _strike(self) -> None:
        batch = self._due()
        try:
            await asyncio.to_thread(self._strike_rest, batch)
        except StoreUnavailable:
            log.warning("store away: confirmed debts left to the relay count=%d", len(batch))
        except Exception as error:  # whatever one batch met, the next ones are struck
            log.error("debts left to the relay count=%d error=%s", len(batch), type(error).__name__)
        for _ in batch:
            self._waiting.popleft()

    def _due(self) -> list[OwedEmail]:
        """What came a moment ago is not claimed yet and is left for later, unless there is no later."""
        first = islice(self._waiting, MAX_BATCH)
        if self._hurry.is_set():
            return [debt for _, debt in first]
        now = self._loop.time()
        return [debt for due, debt in first if due <= now]

    def _strike_rest(self, published: Sequence[OwedEmail]) -> None:
        """What claims have not struck."""
        if rest := self._debts.still_owed(published):
            self._debts.clear_owed(rest, now=self._clock())
