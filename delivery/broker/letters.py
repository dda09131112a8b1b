"""A pass over the letters in a queue: some are removed, the others stay, in their order.

AMQP takes a message out of the middle of a queue only for who holds all before it. So the pass takes every
message without acknowledging it, acknowledges what is to go, and gives the rest back by closing its channels.
A pass that dies half-way has removed what it acknowledged, and nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from delivery.broker.connection import CONNECTION_ERRORS, is_own_cancellation
from delivery.domain.errors import BrokerUnavailable

BATCH = 500
HELD_PER_CHANNEL = 50_000
"""A channel's prefetch; it is a number of 16 bits. A longer queue is held on several channels."""

QUIET = 0.3
"""Seconds without a message after which the queue is asked whether it has more."""

CONNECT_TIMEOUT = 10.0

_AWAY: tuple[type[Exception], ...] = (*CONNECTION_ERRORS, OSError)

Judge = Callable[[Sequence[bytes]], Awaitable[Sequence[bool]]]
"""For the bodies of a batch, in order: which are to be removed."""


@dataclass(frozen=True, slots=True)
class Pass:
    """How many messages a pass saw, and how many of them it removed."""

    seen: int
    removed: int


async def depth(url: str, queue: str) -> int:
    """How many messages wait in the queue, without those that somebody holds. Raises BrokerUnavailable."""
    async with _connected(url) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def remove(
    url: str,
    queue: str,
    judge: Judge,
    *,
    tell: Callable[[Pass], None] = lambda _: None,
    most_held: int = HELD_PER_CHANNEL,
) -> Pass:
    """One pass over what is in the queue now. tell: hears how far it is. most_held: on one channel.

    Others see an empty queue meanwhile, whose messages are all unacknowledged. Raises BrokerUnavailable, and
    what ``judge`` raises.
    """
    async with _connected(url) as connection:
        return await _Sweep(connection, queue, judge, tell, most_held).run()


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AbstractConnection]:
    """Raises BrokerUnavailable, also when the broker goes away inside the block."""
    try:
        async with await aio_pika.connect(url, timeout=CONNECT_TIMEOUT) as connection:
            yield connection
    except _AWAY as error:
        raise BrokerUnavailable(type(error).__name__) from error
    except asyncio.CancelledError as error:
        if is_own_cancellation():
            raise
        raise BrokerUnavailable("connection lost") from error


class _Sweep:
    def __init__(
        self,
        connection: AbstractConnection,
        queue: str,
        judge: Judge,
        tell: Callable[[Pass], None],
        most_held: int,
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._judge = judge
        self._tell = tell
        self._most_held = most_held
        self._arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        self._seen = self._removed = 0

    async def run(self) -> Pass:
        asking, *holding = [await self._connection.channel()]
        try:
            while True:
                holding.append(await self._connection.channel())
                await self._consume(holding[-1])
                if not await self._has_more(asking):
                    return Pass(self._seen, self._removed)
        finally:
            for channel in (*holding, asking):  # in order: what they acknowledged comes before
                await channel.close()

    async def _consume(self, channel: AbstractChannel) -> None:
        """Take and judge what comes on this channel, until nothing comes any more or it holds all it may."""
        await channel.set_qos(prefetch_count=self._most_held)
        queue = await channel.get_queue(self._queue, ensure=False)
        tag = await queue.consume(self._arrived.put)
        held = 0
        while held < self._most_held and (batch := await self._batch()):
            held += len(batch) - await self._settle(batch)
        await queue.cancel(tag)  # what was on its way is here when the broker answers
        while batch := self._waiting():
            await self._settle(batch)

    async def _has_more(self, channel: AbstractChannel) -> bool:
        """Whether the queue has a message for us; it is judged, too."""
        queue = await channel.get_queue(self._queue, ensure=False)
        message = await queue.get(fail=False)
        if message is None:
            return False
        await self._settle([message])
        return True

    async def _batch(self) -> list[AbstractIncomingMessage]:
        """What has come by now, or comes soon."""
        try:
            first = await asyncio.wait_for(self._arrived.get(), QUIET)
        except TimeoutError:
            return []
        return [first, *self._waiting(BATCH - 1)]

    def _waiting(self, most: int = BATCH) -> list[AbstractIncomingMessage]:
        return [self._arrived.get_nowait() for _ in range(min(most, self._arrived.qsize()))]

    async def _settle(self, batch: Sequence[AbstractIncomingMessage]) -> int:
        """Returns how many of the batch were removed; the rest stays unacknowledged."""
        verdicts = await self._judge([message.body for message in batch])
        gone = [message for message, is_to_go in zip(batch, verdicts, strict=True) if is_to_go]
        for message in gone:
            await message.ack()
        self._seen += len(batch)
        self._removed += len(gone)
        self._tell(Pass(self._seen, self._removed))
        return len(gone)
