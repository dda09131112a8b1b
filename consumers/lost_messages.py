"""The loop that finds emails whose message the broker lost."""

import asyncio
import logging
from datetime import datetime

from consumers.watermarks import Watermarks
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.outbox import Outbox
from delivery.domain.errors import StoreUnavailable
from delivery.domain.watermarks import PROBE_ID, Way
from delivery.use_cases.find_lost_messages import LostMessages, find_lost_messages
from delivery.use_cases.messages import Outgoing, encode_email
from topology.names import EMAIL_EXCHANGE

log = logging.getLogger(__name__)

LOOP = "lost messages"


async def find_lost_forever(parts: ConsumerParts, *, outbox: Outbox, watermarks: Watermarks) -> None:
    """Every process says how far its lanes have come; one at a time looks for what is lost."""
    margin, interval = parts.config.loops.lost_margin, parts.config.loops.reconcile_interval
    waiting = parts.store.waiting
    probed: dict[Way, datetime] = {}

    def turn() -> LostMessages:
        now = utc_now()
        waiting.raise_watermarks(watermarks.take())
        if not parts.store.leadership.hold(LOOP, now=now, ttl=interval * 3):
            return LostMessages()

        def may_probe(way: Way) -> bool:
            return way not in probed or now - probed[way] >= margin

        return find_lost_messages(waiting=waiting, may_probe=may_probe, margin=margin, now=now)

    while True:
        await asyncio.sleep(interval.total_seconds())
        if not parts.publisher.is_connected:
            continue
        try:
            lost = await asyncio.to_thread(turn)
        except StoreUnavailable:
            continue
        outbox.hand_over(lost.owed)
        if lost.owed:
            log.warning("messages lost by the broker, published again count=%d", len(lost.owed))
        if lost.probes:
            probed |= dict.fromkeys(lost.probes, utc_now())
            await parts.publisher.publish([_probe(way) for way in lost.probes])


def _probe(way: Way) -> Outgoing:
    return Outgoing(
        exchange=EMAIL_EXCHANGE,
        routing_key=way.lane.value,
        body=encode_email(PROBE_ID, 0),
        priority=way.priority,
    )
