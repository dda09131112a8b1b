"""One email at a time is sent while the breaker is open, to see whether the provider is back."""

import asyncio
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from typing import Protocol

from consumers.lane_heads import Head
from consumers.shared_breaker import SharedBreaker
from delivery.domain.breaker import is_failure
from delivery.domain.outcomes import Answer

LOOK_EVERY = 0.5
"""Seconds between two looks for an email to probe with."""


class Tried(Enum):
    """What came of a message that was to be the probe."""

    CALLED = auto()
    NOT_CALLED = auto()  # stale, over its time, or no email at all
    NO_ROOM = auto()


class Lanes(Protocol):
    """Where probes come from, and the way on which they are claimed, submitted and settled."""

    @property
    def is_connected(self) -> bool: ...

    async def next_head(self, *, avoid: Container[str]) -> Head | None: ...

    async def try_head(self, head: Head) -> Tried: ...


Submit = Callable[[], Awaitable[Answer | None]]


@dataclass(frozen=True, slots=True)
class _Out:
    """The email that is the probe; what came of its call, once it has ended."""

    email_id: str | None
    answer: "asyncio.Future[Answer | None]"


class Probing:
    """Belongs to the event loop. An email that failed as a probe comes after all others: were it the reason
    for its failure, it would keep the breaker open for everybody."""

    def __init__(self, shared: SharedBreaker) -> None:
        self._shared = shared
        self._out: _Out | None = None
        self._failed: set[str] = set()
        self._is_under_way = asyncio.Lock()
        self._stopping = asyncio.Event()

    async def call(self, email_id: str, submit: Submit) -> Answer | None:
        """Submit it if it is the probe; None if it was not called. An answer is marked as a probe's."""
        if self._out is None or self._out.email_id != email_id:
            return None
        answer: Answer | None = None
        try:
            answer = await submit()
        finally:
            self._out.answer.set_result(answer)
        return answer and replace(answer, is_probe=True)

    async def probe(self, lanes: Lanes) -> None:
        """Probe, if it is time and no other process does: with the most urgent email, as soon as one waits.

        A process that has lost the broker leaves it to the others: they may have messages to probe with.
        Raises StoreUnavailable; then another one will probe when this one's time is over.
        """
        async with self._is_under_way:
            if not self._may_go_on(lanes) or not self._shared.may_probe():
                return
            while await self._shared.hold_probe():
                if await self._try_next(lanes):
                    return
                if not self._may_go_on(lanes):
                    await self._shared.leave_probe()
                    return

    async def stop(self, within: timedelta) -> None:
        """Begin no more probes; let one that is out come to its end."""
        self._stopping.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()), self._is_under_way:
                pass

    def forget(self) -> None:
        """The provider is back."""
        self._failed.clear()

    def _may_go_on(self, lanes: Lanes) -> bool:
        return lanes.is_connected and not self._stopping.is_set()

    async def _try_next(self, lanes: Lanes) -> bool:
        """Returns whether the probe is over: an email was called, and what that says is written."""
        head = await lanes.next_head(avoid=self._failed)
        if head is None:
            await self._nap()
            return False
        self._out = _Out(head.email_id, asyncio.get_running_loop().create_future())
        tried = await lanes.try_head(head)
        answer = await self._out.answer if tried is Tried.CALLED else None
        self._out = None
        if answer is not None and head.email_id is not None:
            await self._conclude(answer, email_id=head.email_id)
            return True
        if tried is Tried.NO_ROOM:
            await self._nap()
        return False

    async def _conclude(self, answer: Answer, email_id: str) -> None:
        if is_failure(answer.outcome):
            self._failed.add(email_id)
            await self._shared.open("the probe failed", answer)
        else:
            await self._shared.close()

    async def _nap(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await self._stopping.wait()
