"""A consumer that handles whatever waits in one go. One per queue; the queue's file says what the work is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from consumers.settlement import PAUSE, Fate, acknowledge, fate_of, give_back, refuse
from consumers.subscription import Subscription
from delivery.broker.connection import Connection
from delivery.broker.delivery import Message
from delivery.use_cases.publish_owed import MessagePublisher
from topology.model import Topology

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that can't be taken, and why."""

    message: Message
    reason: str


Work = Callable[[Sequence[Message]], Awaitable[Sequence[Refusal]]]
"""Does the work of a batch and returns what it refuses; the rest is acknowledged.

What it raises is looked up in the settlement table. A batch that raises is taken apart, so that one message
spoils no other."""


class BatchConsumer:
    """pause: seconds between two batches, where nobody minds waiting; the more come together, the less each
    costs. What comes after a pause waits for nothing.
    """

    def __init__(
        self,
        queue: str,
        *,
        prefetch: int,
        work: Work,
        publisher: MessagePublisher,
        topology: Topology,
        pause: float = 0.0,
    ) -> None:
        self._pause = pause
        self.queue = queue
        self._work = work
        self._publisher = publisher
        self._waiting: list[Message] = []
        self._wake = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._is_stopping = False
        self._subscription = Subscription(topology.queue(queue), prefetch=prefetch, arrived=self._arrived)

    async def start(self, connection: Connection) -> None:
        await self._subscription.start(connection)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._is_idle.clear()
            while self._waiting and not self._is_stopping:
                batch, self._waiting = self._waiting, []
                await self._handle(batch)
                await asyncio.sleep(self._pause)
            self._is_idle.set()

    async def stop(self) -> None:
        """Take no more, finish the batch at hand, give the rest back."""
        await self._subscription.stop()
        self._is_stopping = True
        await self._is_idle.wait()
        waiting, self._waiting = self._waiting, []
        await give_back(waiting)

    def _arrived(self, message: Message) -> None:
        self._waiting.append(message)
        self._wake.set()

    async def _handle(self, batch: list[Message]) -> None:
        try:
            refusals = await self._work(batch)
        except Exception as error:
            await self._fail(batch, error)
            return
        for refusal in refusals:
            await self._refuse(refusal.message, refusal.reason)
        refused = {id(refusal.message) for refusal in refusals}
        await acknowledge(message for message in batch if id(message) not in refused)

    async def _fail(self, batch: list[Message], error: Exception) -> None:
        fate = fate_of(error)
        if fate is Fate.WAIT:
            await asyncio.sleep(PAUSE)
            self._waiting = [*batch, *self._waiting]
        elif len(batch) > 1:
            for message in batch:
                await self._handle([message])
        elif fate is Fate.REFUSE:
            await self._refuse(batch[0], str(error))
        elif fate is Fate.REQUEUE:
            log.error("message given back queue=%s error=%s", self.queue, type(error).__name__)
            await asyncio.sleep(PAUSE)
            await give_back(batch)

    async def _refuse(self, message: Message, reason: str) -> None:
        await refuse(message, queue=self.queue, reason=reason, publisher=self._publisher)
