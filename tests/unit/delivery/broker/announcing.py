"""What tests of the announcer share."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from delivery.broker.announcer import Announcer
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from delivery.use_cases.messages import Outgoing, Verdict
from tests.unit.delivery.builders import EMAIL_ID, NOW


class Publisher:
    def __init__(self, *, fails_first: bool = False) -> None:
        self.batches: list[list[Outgoing]] = []
        self._fails = fails_first

    async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
        fails, self._fails = self._fails, False
        if fails:
            raise ValueError("x")
        self.batches.append(list(messages))
        return [Verdict.UNKNOWN] * len(messages)

    @property
    def told(self) -> list[Outgoing]:
        return [message for batch in self.batches for message in batch]


def delivered(tenant_id: str = "default", *, lane: Lane = Lane.BULK, at: datetime = NOW) -> Happening:
    return Happening(tenant_id=tenant_id, email_id=EMAIL_ID, lane=lane, state=State.DELIVERED, at=at)


@asynccontextmanager
async def announcing_on(publisher: Publisher) -> AsyncIterator[Announcer]:
    announcer = Announcer(publisher, gathering=3600)
    running = asyncio.create_task(announcer.run())
    yield announcer
    await announcer.drained()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
