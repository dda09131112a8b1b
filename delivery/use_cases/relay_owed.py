"""The relay's work: publish what stayed owed, most urgent lane first."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail

BATCH = 500


class OwedEmails(Protocol):
    def owed(self, lane: Lane, *, older_than: datetime, limit: int) -> list[OwedEmail]: ...


async def relay_owed(
    *,
    emails: OwedEmails,
    publish: Callable[[Sequence[OwedEmail]], Awaitable[int]],
    older_than: datetime,
) -> int:
    """Publish everything that is owed since before ``older_than``; returns how much was confirmed.

    Stops at the first batch that isn't confirmed whole: the broker is away, and will be asked again at the
    next turn. Raises StoreUnavailable.
    """
    published = 0
    for lane in Lane:
        while True:
            owed = await asyncio.to_thread(emails.owed, lane, older_than=older_than, limit=BATCH)
            if not owed:
                break
            confirmed = await publish(owed)
            published += confirmed
            if confirmed < len(owed):
                return published
    return published
