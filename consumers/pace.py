"""How many calls a process makes at once: each is measured, and the slots follow what the provider takes."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from delivery.config_values import ProviderConfig
from delivery.domain.concurrency import ConcurrencyLimit
from delivery.domain.emails import ClaimedEmail
from delivery.domain.outcomes import Answer
from delivery.domain.slots import Slots
from delivery.use_cases.submit_email import Provider

log = logging.getLogger(__name__)

TELL_EVERY = 10.0
"""Seconds that are at least between two lines in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsAtOnce:
    """Calls of this process: those that are out, how many may be now, and how many may ever be."""

    in_flight: int
    limit: int
    ceiling: int


class Pace:
    """The provider, with the slots sized to what it takes. Belongs to the event loop."""

    def __init__(
        self,
        provider: Provider,
        *,
        config: ProviderConfig,
        slots: Slots,
        may_begin: Callable[[], None],
    ) -> None:
        """may_begin: is called when a call may begin that had to wait."""
        self._provider = provider
        self._slots = slots
        self._may_begin = may_begin
        self._limit = ConcurrencyLimit(
            floor=config.min_in_flight, ceiling=config.max_in_flight, beside=slots.reserved
        )
        self._told_at = -TELL_EVERY
        self._resting: asyncio.TimerHandle | None = None
        self._resize()

    @property
    def is_resting(self) -> bool:
        """Whether no call may begin now: the provider throttles even as few calls as the floor."""
        return self._resting is not None

    @property
    def calls(self) -> CallsAtOnce:
        limit = self._limit
        return CallsAtOnce(in_flight=limit.in_flight, limit=limit.limit, ceiling=limit.ceiling)

    def announce(self) -> None:
        log.info(
            "calls to the provider at once: floor=%d ceiling=%d, in each consumer process",
            self._limit.floor,
            self._limit.ceiling,
        )

    def restart(self) -> None:
        """The provider was away: back to the floor, and up from there."""
        self._limit.restart(time.monotonic())
        self._follow()

    async def submit(self, email: ClaimedEmail) -> Answer:
        """Submit, and learn from how it went. Never raises for what the provider did."""
        slots = self._slots
        call = self._limit.begin(time.monotonic(), in_use=slots.in_use, is_full=slots.is_full)
        answer: Answer | None = None
        try:
            answer = await self._provider.submit(email)
            return answer
        finally:
            self._limit.end(call, answer, time.monotonic())
            self._follow()

    def _follow(self) -> None:
        before, now = self._slots.total, self._limit.limit
        self._resize()
        if now > before:
            self._may_begin()
        has_begun_to_rest = self._rest()
        if now < before or has_begun_to_rest:
            self._tell()

    def _resize(self) -> None:
        """Critical's part stays whole as long as no 429 tells that it is too much."""
        self._slots.resize(self._limit.limit, for_critical=self._limit.unrefused)

    def _rest(self) -> bool:
        """Returns whether a rest has begun."""
        seconds = self._limit.rests_until - time.monotonic()
        if seconds <= 0 or self._resting is not None:
            return False
        self._resting = asyncio.get_running_loop().call_later(seconds, self._end_rest)
        return True

    def _end_rest(self) -> None:
        self._resting = None
        self._may_begin()

    def _tell(self) -> None:
        if time.monotonic() - self._told_at < TELL_EVERY:
            return
        self._told_at = time.monotonic()
        log.info(
            "fewer calls to the provider at once limit=%d ceiling=%d resting=%s",
            self._limit.limit,
            self._limit.ceiling,
            self.is_resting,
        )
