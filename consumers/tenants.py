"""The loop that learns which tenants there are, and what each one's share of the lanes is."""

import asyncio
from contextlib import suppress
from typing import Protocol

from delivery.bootstrap import ConsumerParts
from delivery.domain.errors import StoreUnavailable

LOOK_EVERY = 1.0
"""Seconds between two looks: so soon is the first email of a new tenant taken up."""


class Lanes(Protocol):
    async def follow(self, shares: dict[str, int]) -> None: ...


async def follow_tenants_forever(parts: ConsumerParts, lanes: Lanes) -> None:
    """While the store is away, those that are known stay."""
    while True:
        with suppress(StoreUnavailable):
            await lanes.follow(await asyncio.to_thread(parts.store.tenants.shares))
        await asyncio.sleep(LOOK_EVERY)
