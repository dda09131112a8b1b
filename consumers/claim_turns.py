"""Whose claims wait for whose: critical's for none but its own."""

import asyncio
from collections.abc import Callable, Coroutine

from delivery.domain.lanes import SHARING_LANES, Lane


class ClaimTurns:
    """Lanes that are claimed together, one claim at a time. Belongs to the event loop."""

    def __init__(self, lanes: tuple[Lane, ...]) -> None:
        self.lanes = lanes
        self.claiming = asyncio.Lock()
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Something may be claimed now that could not before."""
        self._changed.set()

    async def changed(self) -> None:
        """Wait until something has changed since this last returned."""
        await self._changed.wait()
        self._changed.clear()


class AllTurns:
    """Critical's, and those of the lanes that share their slots: a large claim of theirs, which takes the
    store a while, holds up no one-time password."""

    def __init__(self) -> None:
        self._critical = ClaimTurns((Lane.CRITICAL,))
        self._sharing = ClaimTurns(SHARING_LANES)

    def of(self, lane: Lane) -> ClaimTurns:
        return self._critical if lane is Lane.CRITICAL else self._sharing

    def wake(self) -> None:
        self._critical.wake()
        self._sharing.wake()

    async def take(self, claim: Callable[[ClaimTurns], Coroutine[None, None, None]]) -> None:
        """Run both, until one fails or this is cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(claim(self._critical))
            both.create_task(claim(self._sharing))

    async def over(self) -> None:
        """Wait until nothing is just being claimed."""
        async with self._critical.claiming, self._sharing.claiming:
            pass
