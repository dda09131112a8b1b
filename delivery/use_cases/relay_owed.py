"""The relay's work: publish what stayed owed, most urgent lane first."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail

BATCH = 500


class OwedEmails(Protocol):
    def owed(self, lane: Lane, *, older_than: datetime, limit: int, skip: int) -> list[OwedEmail]: ...


async def relay_owed(
    *,
    emails: OwedEmails,
    publish: Callable[[Sequence[OwedEmail]], Awaitable[int]],
    may_go_on: Callable[[], Awaitable[bool]],
    older_than: datetime,
) -> int:
    """Publish everything that is owed since before ``older_than``; returns how much was confirmed.

    A debt that isn't confirmed (its queue is missing, say) holds up none behind it, and a lane of which
    nothing is confirmed holds up no other. may_go_on: asked before each batch. Raises StoreUnavailable.
    """
    published = 0
    for lane in Lane:
        unconfirmed = 0
        while await may_go_on():
            owed = await asyncio.to_thread(
                emails.owed, lane, older_than=older_than, limit=BATCH, skip=unconfirmed
            )
            confirmed = await publish(owed) if owed else 0
            published += confirmed
            unconfirmed += len(owed) - confirmed
            if confirmed == 0:
                break
    return published
