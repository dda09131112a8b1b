"""The loop that queues scheduled emails once they are due."""

import asyncio
import logging
from collections.abc import Sequence

from consumers.counters import Count, Counters
from consumers.leading import lead
from consumers.relay import BrokerWatch
from delivery.bootstrap import ConsumerParts, publish_owed, utc_now
from delivery.broker.announcer import Announcer
from delivery.domain.owed import OwedEmail
from delivery.use_cases.queue_due_emails import QueueDueEmails

log = logging.getLogger(__name__)

LOOP = "due emails"


async def queue_due_forever(parts: ConsumerParts, *, announcer: Announcer, counters: Counters) -> None:
    """While the broker is away they wait where they are, and may still be canceled."""
    store, interval = parts.store, parts.config.loops.relay_interval

    async def strike(confirmed: Sequence[OwedEmail]) -> None:
        """At once: so no more is queued than the broker and the store keep up with."""
        await asyncio.to_thread(store.emails.clear_owed, confirmed, now=utc_now())

    queue_due = QueueDueEmails(
        emails=store.scheduled,
        publish=publish_owed(parts.config, publisher=parts.publisher, strike=strike),
        tell=announcer.tell,
        clock=utc_now,
        look_every=interval,
    )

    watch = BrokerWatch(parts.publisher, grace=parts.config.loops.relay_grace, clock=utc_now)

    async def turn() -> None:
        published = await queue_due(may_go_on=lambda: parts.publisher.is_connected)
        if published:
            log.info("scheduled emails queued count=%d", published)
            counters.add(Count.DUE, published)

    await lead(LOOP, leases=store.leadership, interval=interval, turn=turn, is_able=watch.is_able)
