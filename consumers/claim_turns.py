"""Whose claims wait for whose: critical's for none but its own, the others' give way to them."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from consumers.lane_buffers import MAX_CLAIM
from consumers.precedence import Precedence
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


Claim = Callable[[ClaimTurns, int], Awaitable[bool]]
"""Claims at most so many emails of these lanes. Returns whether there were any, with slots for them."""


class AllTurns:
    """Critical's, and those of the lanes that share their slots: a large claim of theirs, which takes the
    store a while, holds up no one-time password."""

    def __init__(self, precedence: Precedence) -> None:
        self._precedence = precedence
        self._critical = ClaimTurns((Lane.CRITICAL,))
        self._sharing = ClaimTurns(SHARING_LANES)

    def of(self, lane: Lane) -> ClaimTurns:
        return self._critical if lane is Lane.CRITICAL else self._sharing

    def arrived(self, lane: Lane) -> None:
        """An email of this lane waits to be claimed."""
        if lane is Lane.CRITICAL:
            self._precedence.came()
        self.of(lane).wake()

    def wake(self) -> None:
        self._critical.wake()
        self._sharing.wake()

    async def take(self, claim: Claim) -> None:
        """Claim whatever there is, until a claim fails or this is cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._claim_critical(claim))
            both.create_task(self._claim_others(claim))

    async def over(self) -> None:
        """Wait until nothing is just being claimed."""
        async with self._critical.claiming, self._sharing.claiming:
            pass

    async def _claim_critical(self, claim: Claim) -> None:
        while True:
            await self._critical.changed()
            while await claim(self._critical, MAX_CLAIM):
                pass
            self._precedence.claimed()  # nor does anybody wait for what has no slot, or may not begin

    async def _claim_others(self, claim: Claim) -> None:
        while True:
            await self._sharing.changed()
            while await self._claim_gently(claim):
                pass

    async def _claim_gently(self, claim: Claim) -> bool:
        await self._precedence.give_way()
        began = time.monotonic()
        is_claimed = await claim(self._sharing, self._precedence.most_claimed)
        if is_claimed:
            await self._precedence.rest(time.monotonic() - began)
        return is_claimed
