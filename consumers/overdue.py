"""The loop that ends what waits beyond its time, while the breaker is open and nothing is claimed."""

import asyncio
import logging
from collections.abc import Callable

from consumers.counters import Count, Counters
from consumers.leading import lead
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.announcer import Announcer
from delivery.broker.outbox import Outbox
from delivery.domain.breaker import Breaker
from delivery.domain.rounds import TenantRounds
from delivery.domain.watermarks import Way, ways_of
from delivery.use_cases.end_overdue import EndOverdue

log = logging.getLogger(__name__)

LOOP = "overdue"


async def end_overdue_forever(
    parts: ConsumerParts,
    *,
    outbox: Outbox,
    announcer: Announcer,
    breaker: Callable[[], Breaker],
    counters: Counters,
) -> None:
    end_overdue = EndOverdue(emails=parts.store.overdue, lanes=parts.config.lanes)

    rounds = TenantRounds()

    def ways() -> list[Way]:
        return ways_of(rounds.next(list(parts.store.tenants.shares())))

    def is_open() -> bool:
        return not breaker().is_closed

    async def turn() -> None:
        away_since = breaker().since or utc_now()
        ended = await asyncio.to_thread(lambda: end_overdue(ways(), away_since=away_since, now=utc_now()))
        outbox.hand_over(ended.owed)
        announcer.tell(ended.happened)
        counters.add_states(Count.OVERDUE, ended.happened)
        if ended.happened:
            log.warning(
                "waited too long for the provider dead=%d expired=%d",
                len(ended.owed),
                len(ended.happened) - len(ended.owed),
            )

    interval = parts.config.loops.check_interval
    await lead(LOOP, leases=parts.store.leadership, interval=interval, turn=turn, is_able=is_open)
