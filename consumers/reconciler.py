"""The reconciler loop: settles what got stuck."""

import asyncio
import logging

from consumers.counters import Count, Counters
from consumers.leading import lead
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.announcer import Announcer
from delivery.use_cases.reconcile import Reconciled, reconcile

log = logging.getLogger(__name__)

LOOP = "reconciler"


async def reconcile_forever(parts: ConsumerParts, *, announcer: Announcer, counters: Counters) -> None:
    loops, store = parts.config.loops, parts.store

    def reconciled() -> Reconciled:
        return reconcile(
            questions=store.questions,
            events=store.events,
            attachments=store.attachments,
            apply=store.apply_events,
            event_grace=loops.relay_grace,
            lanes=parts.config.lanes,
            checks=parts.config.checks,
            now=utc_now(),
        )

    async def turn() -> None:
        done = await asyncio.to_thread(reconciled)
        announcer.tell(done.happened)
        counters.add(Count.RAN_OUT, done.run_out)
        counters.add(Count.APPLIED_LATE, done.applied)
        if done.run_out:
            log.warning("leases ran out, now unconfirmed count=%d", done.run_out)
        if done.applied:
            log.info("provider events applied without their message count=%d", done.applied)

    await lead(LOOP, leases=store.leadership, interval=loops.reconcile_interval, turn=turn)
