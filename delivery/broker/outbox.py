"""The outbox of a process: debts are handed over without waiting and published in natural batches."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from delivery.domain.errors import StoreUnavailable
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail
from delivery.use_cases.publish_owed import Owed

log = logging.getLogger(__name__)

MAX_BATCH = 250
"""Published at once: what is more urgent and comes meanwhile waits for no more than these."""

MAX_WAITING = 50_000
"""Debts a process keeps in memory; what is beyond, or unconfirmed, stays owed in the store for the relay."""

_URGENCY = {lane: place for place, lane in enumerate(Lane)}


class Outbox:
    """The most urgent lane first. Belongs to the event loop it is made on."""

    def __init__(self, publish: Callable[[Sequence[Owed]], Awaitable[int]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._publish = publish
        self._waiting: dict[int, deque[Owed]] = {urgency: deque() for urgency in range(len(Lane))}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def hand_over(self, owed: Sequence[Owed]) -> None:
        """Take debts to publish soon. Never blocks, never fails. Call it on the outbox's loop."""
        room = MAX_WAITING - sum(len(waiting) for waiting in self._waiting.values())
        for debt in owed[: max(0, room)]:
            self._waiting[_urgency(debt)].append(debt)
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
            while batch := self._take():
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

    def _take(self) -> list[Owed]:
        batch: list[Owed] = []
        for waiting in self._waiting.values():
            while waiting and len(batch) < MAX_BATCH:
                batch.append(waiting.popleft())
        return batch


def _urgency(debt: Owed) -> int:
    """The lane's place among the lanes; events go with the second, behind one-time passwords."""
    return _URGENCY[debt.lane] if isinstance(debt, OwedEmail) else 1
