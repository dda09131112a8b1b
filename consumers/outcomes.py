"""Outcomes wait here to be written together; only then are their messages acknowledged."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from consumers.leases import Leases
from consumers.settlement import acknowledge, until_store_answers
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.announcer import Announcer
from delivery.broker.delivery import Message
from delivery.broker.outbox import Outbox
from delivery.domain.emails import ClaimedEmail
from delivery.domain.outcomes import Answer
from delivery.domain.tenant_lanes import TenantLane
from delivery.use_cases.settle_emails import settle_emails


@dataclass(frozen=True, slots=True)
class Answered:
    """A claimed email and the provider's answer; none, if it was not called. place: whose slot it holds."""

    place: TenantLane
    message: Message
    email: ClaimedEmail
    answer: Answer | None


class Outcomes:
    """While the store is away they wait in memory, unacknowledged, and consuming pauses by itself."""

    def __init__(
        self,
        parts: ConsumerParts,
        *,
        outbox: Outbox,
        announcer: Announcer,
        leases: Leases,
        written: Callable[[Sequence[Answered]], None],
        give_way: Callable[[], Awaitable[None]],
    ) -> None:
        """written: is told what has been written, before it is acknowledged. give_way: waits for what is more
        urgent than to write outcomes."""
        self._parts = parts
        self._written = written
        self._give_way = give_way
        self._outbox = outbox
        self._announcer = announcer
        self._leases = leases
        self._waiting: list[Answered] = []
        self._arrived = asyncio.Event()
        self._is_settled = asyncio.Event()
        self._is_settled.set()

    def add(self, answered: Answered) -> None:
        self._waiting.append(answered)
        self._is_settled.clear()
        self._arrived.set()

    async def run(self) -> None:
        """Settle what arrives, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._give_way()
                batch, self._waiting = self._waiting, []
                await self._settle(batch)
            self._is_settled.set()

    async def settled(self, *, within: float) -> None:
        """Wait until nothing waits to be written, or the time (seconds) is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._is_settled.wait()

    async def _settle(self, batch: Sequence[Answered]) -> None:
        now = utc_now()  # one for all tries: a write that is repeated is known by it
        settled = await until_store_answers(
            lambda: settle_emails(
                [(item.email, item.answer) for item in batch],
                claims=self._parts.store.claims,
                policies=self._parts.config.lanes,
                checks=self._parts.config.checks,
                now=now,
            )
        )
        for item in batch:
            self._leases.let_go(item.email.token, item.email.email_id)
        self._outbox.hand_over(settled.owed)
        self._announcer.tell(settled.happened)
        self._written(batch)
        await acknowledge(item.message for item in batch)
