"""Loops that one process at a time runs: it takes turns for as long as it holds the loop's lease."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from delivery.bootstrap import utc_now
from delivery.domain.errors import StoreUnavailable

LEASE_TURNS = 3
"""A process that is gone for so many turns has lost its lease, and another takes over."""


class LoopLeases(Protocol):
    def hold(self, loop: str, *, now: datetime, ttl: timedelta) -> bool: ...

    def release(self, loop: str) -> None: ...


async def lead(
    loop: str,
    *,
    leases: LoopLeases,
    interval: timedelta,
    turn: Callable[[], Awaitable[None]],
    is_able: Callable[[], bool] = lambda: True,
    phase: Callable[[], float] = random.random,
) -> None:
    """Take a turn every ``interval`` while no other process does, until cancelled.

    turn: the work; the lease is kept while it lasts. One that raises StoreUnavailable is over, and the next
    one comes. is_able: whether this process could do the work now; if not, it leaves the lease to others.
    phase: which part of the interval, 0 to 1, goes by before the first turn. Loops that all began their turns
    at once, each second, made a critical email that met them wait three times as long as the others.
    """
    is_ours = False

    def hold() -> bool:
        return leases.hold(loop, now=utc_now(), ttl=interval * LEASE_TURNS)

    async def keep() -> None:
        while True:
            await asyncio.sleep(interval.total_seconds())
            with suppress(StoreUnavailable):
                await asyncio.to_thread(hold)

    async def take_turn() -> None:
        keeping = asyncio.create_task(keep())
        try:
            await turn()
        finally:
            keeping.cancel()

    pause = interval.total_seconds() * phase()
    try:
        while True:
            await asyncio.sleep(pause)
            pause = interval.total_seconds()
            try:
                is_ours = is_able() and await asyncio.to_thread(hold)
                if is_ours:
                    await take_turn()
            except StoreUnavailable:
                is_ours = False
    finally:
        if is_ours:  # as far as we know: a stop must not wait for a store that is away
            with suppress(StoreUnavailable):
                await asyncio.to_thread(leases.release, loop)
