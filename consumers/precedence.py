"""Critical's precedence over what the other lanes do in the same process, over the same store and cores.

docs/adr/0017-precedence-of-critical.md has what it brings and what it costs.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from consumers.lane_buffers import MAX_CLAIM

PRESENT = 1.0
"""Seconds after a critical email in which the next one is reckoned with. Few, so that one now and then costs
the others little."""

SMALL_CLAIM = 16
"""Claimed at once meanwhile: a critical claim waits in the store for no more than these."""

RESTS = 3
"""Times as long as a claim took the others rest after it, so that critical finds store and cores free."""

LONGEST_REST = 0.03
LONGEST_WAIT = 0.03
"""Seconds. However much critical mail comes and however slow the store is, the others go on."""


class Precedence:
    """Belongs to the event loop. While no critical mail comes, it costs the others nothing."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: in seconds."""
        self._clock = clock
        self._came_at = clock() - PRESENT
        self._is_clear = asyncio.Event()
        self._is_clear.set()

    @property
    def most_claimed(self) -> int:
        """How many emails the others may claim at once now."""
        return SMALL_CLAIM if self._is_present else MAX_CLAIM

    def came(self) -> None:
        """A critical email has come, and is to be claimed."""
        self._came_at = self._clock()
        self._is_clear.clear()

    def claimed(self) -> None:
        """No critical email that could be claimed now waits for it any more."""
        self._is_clear.set()

    async def give_way(self) -> None:
        """Wait until the critical emails that have come are claimed; not for long."""
        if not self._is_clear.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_WAIT):
                    await self._is_clear.wait()

    async def rest(self, took: float) -> None:
        """After a claim of others that took so many seconds."""
        if self._is_present:
            await asyncio.sleep(min(RESTS * took, LONGEST_REST))

    @property
    def _is_present(self) -> bool:
        return self._clock() - self._came_at < PRESENT
