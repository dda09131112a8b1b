"""The relay loop: what stayed owed is published as soon as the broker takes it, most urgent lane first."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from consumers.counters import Count, Counters
from consumers.leading import LEASE_TURNS, lead
from delivery.bootstrap import ConsumerParts, publish_owed, utc_now
from delivery.domain.owed import OwedEmail
from delivery.use_cases.relay_owed import relay_owed

log = logging.getLogger(__name__)

LOOP = "relay"

TRY_EVERY = LEASE_TURNS + 2
"""Turns between two tries over a connection that is stalled: time for another process to take over."""


class PublisherState(Protocol):
    @property
    def is_connected(self) -> bool: ...

    @property
    def is_stalled(self) -> bool: ...

    @property
    def returns(self) -> int: ...


class BrokerWatch:
    """Whether this process should relay, and how old a debt must be for it, as a look at every turn tells.

    What became owed while the broker was away is in nobody's hands: it is published as soon as the broker is
    back, without the grace that a debt otherwise has for its own process to publish it. It may have gone and
    come back between two looks.
    """

    def __init__(self, publisher: PublisherState, *, grace: timedelta, clock: Callable[[], datetime]) -> None:
        self._publisher = publisher
        self._grace = grace
        self._clock = clock
        self._turns_away = 0
        self._returns = publisher.returns
        self._back_at: datetime | None = None

    def is_able(self) -> bool:
        """Over a stalled connection only now and then: another process may have one that is not."""
        if self._publisher.is_connected and not self._publisher.is_stalled:
            # One look without a connection may have come before this process made its first.
            if self._turns_away > 1 or self._returns != self._publisher.returns:
                self._returns, self._back_at = self._publisher.returns, self._clock()
            self._turns_away = 0
            return True
        self._turns_away += 1
        return self._publisher.is_connected and self._turns_away % TRY_EVERY == 0

    def older_than(self) -> datetime:
        """What is owed since before that is to be published."""
        graced = self._clock() - self._grace
        return graced if self._back_at is None else max(graced, self._back_at)


async def relay_forever(parts: ConsumerParts, *, counters: Counters) -> None:
    loops, store = parts.config.loops, parts.store

    async def strike(confirmed: Sequence[OwedEmail]) -> None:
        """At once: the next turn must not find them again."""
        await asyncio.to_thread(store.emails.clear_owed, confirmed, now=utc_now())

    publish = publish_owed(parts.config, publisher=parts.publisher, strike=strike)

    watch = BrokerWatch(parts.publisher, grace=loops.relay_grace, clock=utc_now)

    async def may_go_on() -> bool:
        return parts.publisher.is_connected

    async def turn() -> None:
        published = await relay_owed(
            emails=store.emails, publish=publish, may_go_on=may_go_on, older_than=watch.older_than()
        )
        if published:
            log.info("relayed count=%d", published)
            counters.add(Count.RELAYED, published)

    await lead(LOOP, leases=store.leadership, interval=loops.relay_interval, turn=turn, is_able=watch.is_able)
