"""Queue scheduled emails once they are due, and publish their messages: the most urgent lane first."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail
from delivery.domain.scheduling import DueEmail
from delivery.domain.states import State

PAGE = 50_000
"""Read at once. SecantusDB reads all that is due, however little is asked for; in memory it is some 15 MB."""

BATCH = 50
"""Queued at once. The embedded store compares each email with every id that is named."""

LONGEST_REST = 1.0
"""Seconds. After each batch the store is left alone for as long as that took: others have work for it."""


class ScheduledEmails(Protocol):
    def due(self, lane: Lane, *, now: datetime, limit: int) -> list[DueEmail]: ...

    def queue(self, email_ids: Sequence[str], *, now: datetime) -> list[OwedEmail]: ...

    def expire(self, email_ids: Sequence[str], *, now: datetime) -> list[str]: ...


class QueueDueEmails:
    """publish: returns how many were confirmed; what isn't stays owed. tell: takes what ended instead.
    look_every: how often a lane is looked at while emails of a less urgent one are being queued. page: how
    many are read at once.
    """

    def __init__(
        self,
        *,
        emails: ScheduledEmails,
        publish: Callable[[Sequence[OwedEmail]], Awaitable[int]],
        tell: Callable[[Sequence[Happening]], None],
        clock: Callable[[], datetime],
        look_every: timedelta,
        page: int = PAGE,
    ) -> None:
        self._emails = emails
        self._publish = publish
        self._tell = tell
        self._clock = clock
        self._look_every = look_every
        self._page = page
        self._found: dict[Lane, deque[DueEmail]] = {}
        self._looked_at: dict[Lane, datetime] = {}

    async def __call__(self, *, may_go_on: Callable[[], bool]) -> int:
        """Queue whatever is due; returns how many messages were confirmed.

        A lane of which nothing is confirmed holds up no other: its emails wait for the next call. may_go_on:
        asked before each batch. Raises StoreUnavailable; what was queued by then is owed.
        """
        self._found = {lane: deque() for lane in Lane}
        self._looked_at.clear()
        published = 0
        stuck: set[Lane] = set()
        while may_go_on() and (lane := await self._most_urgent(without=stuck)) is not None:
            began = time.monotonic()
            owed = await self._queue(lane)
            confirmed = await self._publish(owed) if owed else 0
            await asyncio.sleep(min(time.monotonic() - began, LONGEST_REST))
            published += confirmed
            if owed and not confirmed:
                stuck.add(lane)
        return published

    async def _most_urgent(self, *, without: set[Lane]) -> Lane | None:
        for lane in Lane:
            if lane not in without and await self._has_due(lane):
                return lane
        return None

    async def _has_due(self, lane: Lane) -> bool:
        """Looks for more where nothing is left of the last page, as often as it may."""
        if not self._found[lane]:
            now = self._clock()
            if lane not in self._looked_at or now - self._looked_at[lane] >= self._look_every:
                due = await asyncio.to_thread(self._emails.due, lane, now=now, limit=self._page)
                self._found[lane].extend(due)
                if len(due) < self._page:  # else there may be more
                    self._looked_at[lane] = now
        return bool(self._found[lane])

    async def _queue(self, lane: Lane) -> list[OwedEmail]:
        found = self._found[lane]
        batch = [found.popleft() for _ in range(min(BATCH, len(found)))]
        now = self._clock()
        over = [email for email in batch if email.has_expired(now=now)]
        if over:
            await self._expire(lane, over, now=now)
        email_ids = [email.email_id for email in batch if not email.has_expired(now=now)]
        return await asyncio.to_thread(self._emails.queue, email_ids, now=now) if email_ids else []

    async def _expire(self, lane: Lane, over: Sequence[DueEmail], *, now: datetime) -> None:
        email_ids = [email.email_id for email in over]
        ended = set(await asyncio.to_thread(self._emails.expire, email_ids, now=now))
        self._tell(
            [
                Happening(
                    tenant_id=email.tenant_id, email_id=email.email_id, lane=lane, state=State.EXPIRED, at=now
                )
                for email in over
                if email.email_id in ended
            ]
        )
