"""The provider's breaker in this process: counts its calls, stops and starts its lanes, sends its probes.

delivery/domain/breaker.py has the rules. While the store is away, what was last seen holds.
"""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

from consumers.probing import Lanes as ProbingLanes
from consumers.probing import Probing, Submit
from consumers.settlement import PAUSE
from consumers.shared_breaker import SharedBreaker
from delivery.bootstrap import ConsumerParts
from delivery.domain.breaker import Breaker, Tally
from delivery.domain.errors import StoreUnavailable
from delivery.domain.outcomes import Answer

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
"""Seconds between two looks at what other processes have written."""


class Lanes(ProbingLanes, Protocol):
    """What the breaker stops and starts. Both methods may be repeated."""

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...


class BreakerWatch:
    """Belongs to the event loop."""

    def __init__(self, parts: ConsumerParts) -> None:
        self._shared = SharedBreaker(parts)
        self._probing = Probing(self._shared)
        self._tally = Tally(parts.config.breaker)
        self._tripped: tuple[str, Answer] | None = None
        self._is_paused = False
        self._wake = asyncio.Event()

    @property
    def state(self) -> Breaker:
        """What all processes agree on, as last seen."""
        return self._shared.state

    @property
    def is_closed(self) -> bool:
        return self.state.is_closed and self._tripped is None

    async def load(self, lanes: Lanes) -> None:
        """See how it stands, however long the store is away, before anything is consumed."""
        while True:
            try:
                await self._shared.look()
                break
            except StoreUnavailable:
                await asyncio.sleep(PAUSE)
        await self._obey(lanes)

    async def run(self, lanes: Lanes) -> None:
        """Watch until cancelled."""
        while True:
            await self._obey(lanes)
            with suppress(StoreUnavailable):
                await self._agree()
                await self._obey(lanes)
                await self._probing.probe(lanes)
                await self._obey(lanes)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._wake.wait()
            self._wake.clear()

    async def stop(self, within: timedelta) -> None:
        """Begin no more probes; let one that is out come to its end."""
        await self._probing.stop(within)

    async def call(self, email_id: str, submit: Submit) -> Answer | None:
        """Submit an email if calls go out, or if it is the probe; None if it was not called."""
        if not self.is_closed:
            return await self._probing.call(email_id, submit)
        begun = time.monotonic()
        answer = await submit()
        if answer is not None and self.is_closed:  # else it was out when the breaker opened
            self._count(answer, begun=begun)
        return answer

    def _count(self, answer: Answer, *, begun: float) -> None:
        reason = self._tally.count(answer.outcome, begun=begun, ended=time.monotonic())
        if reason is not None:
            self._tripped = reason, answer
            self._wake.set()

    async def _agree(self) -> None:
        """See what others wrote, and write that this process opens it, if it does."""
        await self._shared.look()
        if self._tripped is not None:
            reason, answer = self._tripped
            if not self.state.is_closed or await self._shared.open(reason, answer):
                self._tripped = None

    async def _obey(self, lanes: Lanes) -> None:
        """Stop or start the lanes; after a stop, count afresh."""
        if self.is_closed and self._is_paused:
            self._is_paused = False
            self._tally.restart(at=time.monotonic())
            self._probing.forget()
            await lanes.resume()
        elif not self.is_closed and not self._is_paused:
            self._is_paused = True
            await lanes.pause()
