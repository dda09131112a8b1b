"""Tells whoever subscribes to ``email.events`` what happened, as ``<tenant>.<lane>.<event>``.

At most once, on purpose: a subscriber that is away, or a broker that is, must hold up no email.

Where nobody subscribes, next to nothing is published. Of several messages with the same key the first one
asks: when the broker returns it, nobody is bound to their key, and the others are not published. Who binds
after that, binds after all of them happened: what happens meanwhile asks again.
"""

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from delivery.use_cases.messages import Outgoing, Verdict
from delivery.use_cases.publish_owed import MessagePublisher
from topology import names

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Beyond, the newest are not told."""

MAX_BATCH = 500

GATHERING = 0.05
"""Seconds that what happened waits for more of it: no email waits for being told of, and a round trip for
every few was a tenth of what the consumers did."""

WORTH_ASKING = 4
"""Messages of a kind in a batch: for fewer, a return costs as much as it saves."""

MAX_KINDS = 4096
"""Kinds of messages that are remembered, a batch's more at most: some for each lane of each tenant."""


class Announcer:
    """Belongs to an event loop."""

    def __init__(
        self,
        publisher: MessagePublisher,
        *,
        count: Callable[[Sequence[Happening]], None] = lambda _: None,
        gathering: float = GATHERING,
    ) -> None:
        """count: hears of all that happens, told or not."""
        self._publisher = publisher
        self._count = count
        self._gathering = gathering
        self._waiting: deque[Happening] = deque()
        self._wake = asyncio.Event()
        self._nothing_left = asyncio.Event()
        self._nothing_left.set()
        self._hurry = asyncio.Event()
        self._kinds: dict[tuple[str, Lane, State], _Kind] = {}

    def tell(self, happenings: Sequence[Happening]) -> None:
        """Take what happened, to be told soon. Never blocks, never fails."""
        self._count(happenings)
        self._waiting.extend(happenings[: MAX_WAITING - len(self._waiting)])
        if self._waiting:
            self._nothing_left.clear()
            self._wake.set()

    async def run(self) -> None:
        """Tell what is handed over, until cancelled."""
        while True:
            await self._wake.wait()
            await self._gather()
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
                try:
                    await self._tell(batch)
                except Exception as error:  # whatever one batch met, the next ones are told
                    log.error("not told count=%d error=%s", len(batch), type(error).__name__)
            self._nothing_left.set()

    async def drained(self) -> None:
        """Tell what waits without waiting for more; returns when nothing is left."""
        self._hurry.set()
        await self._nothing_left.wait()

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(self._gathering):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _tell(self, batch: Sequence[Happening]) -> None:
        """All at once, but of a kind that nobody heard last time only what asks whether somebody does now."""
        if len(self._kinds) >= MAX_KINDS:
            self._kinds.clear()  # between batches: within one, messages of a kind have it in common
        kinds = [self._kind(happening) for happening in batch]
        counts = Counter(kinds)
        now: list[Outgoing] = []
        later: list[tuple[_Kind, Happening]] = []
        asking: dict[_Kind, int] = {}
        for kind, happening in zip(kinds, batch, strict=True):
            is_worth_asking = counts[kind] >= WORTH_ASKING
            if is_worth_asking and kind not in asking:
                asking[kind] = len(now)
                now.append(kind.message(happening, is_asking=True))
            elif kind.is_heard or not is_worth_asking:
                now.append(kind.message(happening))
            else:
                later.append((kind, happening))
        verdicts = await self._publisher.publish(now)
        for kind, place in asking.items():
            kind.is_heard = verdicts[place] is not Verdict.RETURNED
        rest = [kind.message(happening) for kind, happening in later if kind.is_heard]
        if rest:
            await self._publisher.publish(rest)

    def _kind(self, happening: Happening) -> "_Kind":
        key = (happening.tenant_id, happening.lane, happening.state)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _kind_of(happening)
        return kind


@dataclass(slots=True, eq=False)
class _Kind:
    """What messages of one tenant, lane and event have in common: start and middle of the body, between and
    after which come the email's id and the time.

    is_heard: unless the broker returned the last one that asked.
    """

    routing_key: str
    start: str
    middle: str
    is_heard: bool = True

    def message(self, happening: Happening, *, is_asking: bool = False) -> Outgoing:
        """is_asking: it comes back if nobody hears it, which is nobody's fault: nobody need subscribe."""
        return Outgoing(
            exchange=names.EVENTS_EXCHANGE,
            routing_key=self.routing_key,
            # Neither the ids of our emails nor a time have anything that JSON escapes.
            body=f'{self.start}{happening.email_id}{self.middle}{happening.at.isoformat()}"}}'.encode(),
            mandatory=is_asking,
            expects_queue=False,
        )


def _kind_of(happening: Happening) -> _Kind:
    tenant_id, lane, event = happening.tenant_id, happening.lane.value, happening.state.value
    start = json.dumps({"event": event, "email_id": ""})
    rest = json.dumps({"tenant_id": tenant_id, "lane": lane, "at": ""})
    return _Kind(f"{tenant_id}.{lane}.{event}", start[:-2], f'", {rest[1:-2]}')
