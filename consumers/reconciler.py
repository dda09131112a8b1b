"""The reconciler loop: settles what got stuck."""

import asyncio
import logging

from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.announcer import Announcer
from delivery.domain.errors import StoreUnavailable
from delivery.use_cases.reconcile import Reconciled, reconcile

log = logging.getLogger(__name__)

LOOP = "reconciler"


async def reconcile_forever(parts: ConsumerParts, announcer: Announcer) -> None:
    """One process at a time does the work; another takes over when it is gone for three turns."""
    interval, event_grace = parts.config.loops.reconcile_interval, parts.config.loops.relay_grace
    store = parts.store

    def turn() -> Reconciled:
        now = utc_now()
        if not store.leadership.hold(LOOP, now=now, ttl=interval * 3):
            return Reconciled()
        return reconcile(
            questions=store.questions,
            events=store.events,
            apply=store.apply_events,
            event_grace=event_grace,
            lanes=parts.config.lanes,
            checks=parts.config.checks,
            now=now,
        )

    while True:
        await asyncio.sleep(interval.total_seconds())
        try:
            done = await asyncio.to_thread(turn)
        except StoreUnavailable:
            continue
        announcer.tell(done.happened)
        if done.run_out:
            log.warning("leases ran out, now unconfirmed count=%d", done.run_out)
        if done.applied:
            log.info("provider events applied without their message count=%d", done.applied)
