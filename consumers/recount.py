"""The loop that counts all emails anew, some a turn, so that ``GET /stats`` never stays wrong."""

import asyncio
import logging
from datetime import timedelta

from consumers.leading import lead
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.use_cases.recount import recount

log = logging.getLogger(__name__)

LOOP = "recount"

INTERVAL = timedelta(seconds=2)
"""Between two turns: a percent or so of the store's time, and 900,000 emails an hour."""


async def recount_forever(parts: ConsumerParts) -> None:
    reports = parts.config.provider.reports_deliveries

    async def turn() -> None:
        done = await asyncio.to_thread(
            lambda: recount(parts.store.counts, reports_deliveries=reports, now=utc_now())
        )
        if done is not None:
            log.info("emails counted anew until=%s", done.isoformat())

    await lead(LOOP, leases=parts.store.leadership, interval=INTERVAL, turn=turn)
