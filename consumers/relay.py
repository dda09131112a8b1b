"""The relay loop: what stayed owed is published as soon as the broker takes it, most urgent lane first."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from consumers.leading import lead
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.use_cases.publish_owed import Owed
from delivery.use_cases.relay_owed import relay_owed

log = logging.getLogger(__name__)

LOOP = "relay"


async def relay_forever(parts: ConsumerParts, publish: Callable[[Sequence[Owed]], Awaitable[int]]) -> None:
    loops, store = parts.config.loops, parts.store

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
