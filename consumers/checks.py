"""The checks loops: unknown outcomes and overdue reports are asked about, and decided at their deadline.

Two loops, because a status endpoint that answers slowly must not hold up what a deadline decides. The
budget holds even if two processes ask: it is a document of its own.
"""

import asyncio
import logging

from consumers.counters import Count, Counters
from consumers.leading import lead
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.announcer import Announcer
from delivery.broker.outbox import Outbox
from delivery.use_cases.ask_about_emails import ask_about_emails
from delivery.use_cases.decide_unknowns import decide_unknowns

log = logging.getLogger(__name__)

ASKING = "checks"
DECIDING = "decisions"


async def ask_forever(
    parts: ConsumerParts, *, outbox: Outbox, announcer: Announcer, counters: Counters
) -> None:
    async def turn() -> None:
        await _ask(parts, outbox=outbox, announcer=announcer, counters=counters)

    await lead(ASKING, leases=parts.store.leadership, interval=parts.config.loops.check_interval, turn=turn)


async def decide_forever(
    parts: ConsumerParts, *, outbox: Outbox, announcer: Announcer, counters: Counters
) -> None:
    async def turn() -> None:
        while await _decide(parts, outbox=outbox, announcer=announcer, counters=counters):
            pass

    await lead(DECIDING, leases=parts.store.leadership, interval=parts.config.loops.check_interval, turn=turn)


async def _ask(parts: ConsumerParts, *, outbox: Outbox, announcer: Announcer, counters: Counters) -> None:
    asked = await ask_about_emails(
        provider_name=parts.config.provider.name,
        provider=parts.provider,
        questions=parts.store.questions,
        budgets=parts.store.budgets,
        lanes=parts.config.lanes,
        policy=parts.config.checks,
        clock=utc_now,
    )
    outbox.hand_over(asked.owed)
    announcer.tell(asked.happened)
    counters.add(Count.CHECKED, asked.asked)
    counters.add_states(Count.SETTLED, asked.happened)
    if asked.asked:
        log.info("asked the provider count=%d settled=%d", asked.asked, len(asked.happened))
    if asked.pause is not None:
        log.warning("status checks paused by the provider seconds=%d", asked.pause.total_seconds())


async def _decide(parts: ConsumerParts, *, outbox: Outbox, announcer: Announcer, counters: Counters) -> bool:
    """Returns whether there may be more to decide."""
    decided = await asyncio.to_thread(
        lambda: decide_unknowns(
            questions=parts.store.questions,
            lanes=parts.config.lanes,
            policy=parts.config.checks,
            now=utc_now(),
        )
    )
    outbox.hand_over(decided.owed)
    announcer.tell(decided.happened)
    for state, count in decided.counts.items():
        log.warning("outcome unknown at the deadline, now %s count=%d", state.value, count)
    counters.add_states(Count.DECIDED, decided.happened)
    counters.add(Count.UNREPORTED, decided.unreported)
    if decided.unreported:
        log.warning("overdue reports that could not be asked for in time count=%d", decided.unreported)
    return decided.is_full
