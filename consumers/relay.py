"""The relay loop: what stayed owed is published as soon as the broker takes it, most urgent lane first."""

import asyncio
import logging
from collections.abc import Sequence

from consumers.leading import lead
from delivery.bootstrap import ConsumerParts, publish_owed, utc_now
from delivery.domain.owed import OwedEmail
from delivery.use_cases.relay_owed import relay_owed

log = logging.getLogger(__name__)

LOOP = "relay"


async def relay_forever(parts: ConsumerParts) -> None:
    loops, store = parts.config.loops, parts.store

    async def strike(confirmed: Sequence[OwedEmail]) -> None:
        """At once: the next turn must not find them again."""
        await asyncio.to_thread(store.emails.clear_owed, confirmed, now=utc_now())

    publish = publish_owed(parts.config, publisher=parts.publisher, strike=strike)

    def is_connected() -> bool:
        return parts.publisher.is_connected

    async def may_go_on() -> bool:
        return is_connected()

    async def turn() -> None:
        older_than = utc_now() - loops.relay_grace
        published = await relay_owed(
            emails=store.emails, publish=publish, may_go_on=may_go_on, older_than=older_than
        )
        if published:
            log.info("relayed count=%d", published)

    await lead(LOOP, leases=store.leadership, interval=loops.relay_interval, turn=turn, is_able=is_connected)
