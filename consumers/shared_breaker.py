"""The document of the provider's breaker, which all processes share. Who is first changes it."""

import asyncio
import logging

from delivery.bootstrap import ConsumerParts, utc_now
from delivery.domain.breaker import Breaker, closed, opened, probe_left, probing
from delivery.domain.errors import StoreOutcomeUnknown
from delivery.domain.outcomes import Answer, Outcome

log = logging.getLogger(__name__)


class SharedBreaker:
    """``state`` is how it was last seen. Every method raises StoreUnavailable when the store is away.

    What changes it returns False, and changes nothing, if another process was quicker.
    """

    def __init__(self, parts: ConsumerParts) -> None:
        config = parts.config
        self._store = parts.store.breakers
        self._provider = config.provider.name
        self._policy = config.breaker
        self._probe_time = config.provider.total_timeout + config.claims.margin
        self.state = Breaker()

    async def look(self) -> None:
        self.state = await asyncio.to_thread(self._store.get, self._provider)

    async def open(self, reason: str, answer: Answer) -> bool:
        """Open it; or after a probe that failed, keep it open for longer."""
        seen = self.state
        to = opened(
            seen,
            reason=f"{reason}, the last: {answer.detail}",
            is_misconfigured=answer.outcome is Outcome.MISCONFIGURED,
            policy=self._policy,
            now=utc_now(),
        )
        try:
            is_changed = await self._change(to)
        except StoreOutcomeUnknown:  # it may be written: an alarm may come twice, but must not be lost
            self._tell_opened(seen, to, answer)
            raise
        if is_changed:
            self._tell_opened(seen, to, answer)
        return is_changed

    async def close(self) -> bool:
        seen, now = self.state, utc_now()
        if not await self._change(closed(seen, now=now)):
            return False
        seconds = (now - seen.since).total_seconds() if seen.since else 0
        log.warning("breaker closed provider=%s after_seconds=%d", self._provider, seconds)
        return True

    def may_probe(self) -> bool:
        return self.state.may_probe(now=utc_now(), at_most=max(self._policy.longest_pause, self._probe_time))

    async def hold_probe(self) -> bool:
        """Take the probe, or keep it, for as long as a call may take."""
        return await self._change(probing(self.state, until=utc_now() + self._probe_time))

    async def leave_probe(self) -> bool:
        return await self._change(probe_left(self.state, now=utc_now()))

    def _tell_opened(self, seen: Breaker, to: Breaker, answer: Answer) -> None:
        log.warning("breaker open provider=%s failures=%d reason=%s", self._provider, to.failures, to.reason)
        if to.is_misconfigured and not seen.is_misconfigured:
            log.error("ALARM provider refuses our credential or address detail=%s", answer.detail)

    async def _change(self, to: Breaker) -> bool:
        seen = self.state
        if not await asyncio.to_thread(lambda: self._store.change(self._provider, seen=seen, to=to)):
            return False
        self.state = to
        return True
