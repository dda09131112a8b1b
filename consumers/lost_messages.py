"""The loop that finds emails whose message the broker lost."""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime

from consumers.counters import Count, Counters
from consumers.leading import lead
from consumers.watermarks import Watermarks
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.outbox import Outbox
from delivery.domain.errors import StoreUnavailable
from delivery.domain.rounds import TenantRounds, tenants_in_a_turn
from delivery.domain.watermarks import PROBE_ID, Way, ways_of
from delivery.use_cases.find_lost_messages import LostMessages, find_lost_messages
from delivery.use_cases.messages import Outgoing, encode_email
from topology.names import EMAIL_EXCHANGE

log = logging.getLogger(__name__)

LOOP = "lost messages"


async def find_lost_forever(
    parts: ConsumerParts, *, outbox: Outbox, watermarks: Watermarks, counters: Counters
) -> None:
    """Every process says how far its lanes have come; one at a time looks for what is lost."""
    await asyncio.gather(
        _tell_watermarks(parts, watermarks), _find_lost(parts, outbox=outbox, counters=counters)
    )


async def _tell_watermarks(parts: ConsumerParts, watermarks: Watermarks) -> None:
    while True:
        await asyncio.sleep(parts.config.loops.reconcile_interval.total_seconds())
        with suppress(StoreUnavailable):
            await asyncio.to_thread(parts.store.waiting.raise_watermarks, watermarks.take())


async def _find_lost(parts: ConsumerParts, *, outbox: Outbox, counters: Counters) -> None:
    margin, interval = parts.config.loops.lost_margin, parts.config.loops.reconcile_interval
    probed: dict[Way, datetime] = {}
    rounds = TenantRounds()

    def ways() -> list[Way]:
        tenant_ids = list(parts.store.tenants.shares())
        at_once = tenants_in_a_turn(len(tenant_ids), every=interval, round_within=margin)
        return ways_of(rounds.next(tenant_ids, at_once=at_once))

    def found() -> LostMessages:
        now = utc_now()

        def may_probe(way: Way) -> bool:
            return way not in probed or now - probed[way] >= margin

        return find_lost_messages(
            ways(), waiting=parts.store.waiting, may_probe=may_probe, margin=margin, now=now
        )

    async def turn() -> None:
        lost = await asyncio.to_thread(found)
        outbox.hand_over(lost.owed)
        if lost.owed:
            log.warning("messages lost by the broker, published again count=%d", len(lost.owed))
            counters.add(Count.LOST, len(lost.owed))
        if lost.probes:
            probed.update(dict.fromkeys(lost.probes, utc_now()))
            await parts.publisher.publish([_probe(way) for way in lost.probes])

    await lead(
        LOOP,
        leases=parts.store.leadership,
        interval=interval,
        turn=turn,
        is_able=lambda: parts.publisher.is_connected,
    )


def _probe(way: Way) -> Outgoing:
    return Outgoing(
        exchange=EMAIL_EXCHANGE,
        routing_key=way.tenant_lane.key,
        lane_key=way.tenant_lane.key,
        body=encode_email(PROBE_ID, 0),
        priority=way.priority,
    )
