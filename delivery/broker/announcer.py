"""Tells whoever subscribes to ``email.events`` what happened, as ``<tenant>.<lane>.<event>``.

At most once, on purpose: a subscriber that is away, or a broker that is, must hold up no email.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Sequence

from delivery.domain.happenings import Happening
from delivery.use_cases.messages import Outgoing
from delivery.use_cases.publish_owed import MessagePublisher
from topology import names

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Beyond, the newest are not told."""

MAX_BATCH = 500


class Announcer:
    def __init__(
        self, publisher: MessagePublisher, *, count: Callable[[Sequence[Happening]], None] = lambda _: None
    ) -> None:
        """count: hears of all that happens, told or not."""
        self._publisher = publisher
        self._count = count
        self._waiting: deque[Happening] = deque()
        self._wake = asyncio.Event()

    def tell(self, happenings: Sequence[Happening]) -> None:
        """Take what happened, to be told soon. Never blocks, never fails."""
        self._count(happenings)
        self._waiting.extend(happenings[: MAX_WAITING - len(self._waiting)])
        self._wake.set()

    async def run(self) -> None:
        """Tell what is handed over, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
                try:
                    await self._publisher.publish([_message(happening) for happening in batch])
                except Exception as error:  # whatever one batch met, the next ones are told
                    log.error("not told count=%d error=%s", len(batch), type(error).__name__)


def _message(happening: Happening) -> Outgoing:
    event = happening.state.value
    body = {
        "event": event,
        "email_id": happening.email_id,
        "tenant_id": happening.tenant_id,
        "lane": happening.lane.value,
        "at": happening.at.isoformat(),
    }
    return Outgoing(
        exchange=names.EVENTS_EXCHANGE,
        routing_key=f"{happening.tenant_id}.{happening.lane.value}.{event}",
        body=json.dumps(body).encode(),
        mandatory=False,  # nobody need subscribe
    )
