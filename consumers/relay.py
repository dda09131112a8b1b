"""The relay loop: what stayed owed is published as soon as the broker takes it, most urgent lane first."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from delivery.bootstrap import ConsumerParts, utc_now
from delivery.domain.errors import StoreUnavailable
from delivery.use_cases.publish_owed import Owed
from delivery.use_cases.relay_owed import relay_owed

log = logging.getLogger(__name__)

LOOP = "relay"


async def relay_forever(parts: ConsumerParts, publish: Callable[[Sequence[Owed]], Awaitable[int]]) -> None:
    """One process at a time does the work; another takes over when it is gone for three turns."""
    loops, store = parts.config.loops, parts.store

    def is_ours() -> bool:
        return store.leadership.hold(LOOP, now=utc_now(), ttl=loops.relay_interval * 3)

    async def may_go_on() -> bool:
        return parts.publisher.is_connected and await asyncio.to_thread(is_ours)

    while True:
        await asyncio.sleep(loops.relay_interval.total_seconds())
        older_than = utc_now() - loops.relay_grace
        try:
            published = await relay_owed(
                emails=store.emails, publish=publish, may_go_on=may_go_on, older_than=older_than
            )
        except StoreUnavailable:
            continue
        if published:
            log.info("relayed count=%d", published)
