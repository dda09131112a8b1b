"""A connection to the broker that publishes to ``email.ingest`` and takes postroom's replies."""

import asyncio
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from postroom_client.errors import Unconfirmed

EXCHANGE = "email.ingest"
REPLIES = "amq.rabbitmq.reply-to"
"""Direct reply-to: answers come over this channel, without a queue. https://www.rabbitmq.com/docs/direct-reply-to"""

LOST = (AMQPError, ChannelInvalidStateError, ConnectionError, OSError, RuntimeError, TimeoutError)
"""What aio-pika raises where a connection is lost, can't be had, or says nothing."""

_FAREWELL = 1.0
"""Seconds for closing a connection in order."""


class Line:
    """A connection with its channel, and who waits for a reply on it."""

    def __init__(
        self, connection: AbstractConnection, channel: AbstractChannel, exchange: AbstractExchange
    ) -> None:
        self.exchange = exchange
        self._connection = connection
        self._channel = channel
        self._awaited: dict[str, asyncio.Future[bytes]] = {}
        channel.close_callbacks.add(self._lost)

    @classmethod
    async def open(cls, url: str) -> "Line":
        connection = await aio_pika.connect(url)
        try:
            channel = await connection.channel(on_return_raises=True)
            line = cls(connection, channel, await channel.get_exchange(EXCHANGE, ensure=False))
            replies = await channel.get_queue(REPLIES, ensure=False)
            await replies.consume(line._keep, no_ack=True)
        except BaseException:
            await _close(connection)
            raise
        return line

    @property
    def is_lost(self) -> bool:
        return self._connection.is_closed or self._channel.is_closed

    def awaited(self, correlation_id: str) -> "asyncio.Future[bytes]":
        """What becomes the reply. A lost connection makes it Unconfirmed: replies to it reach nobody."""
        future = self._awaited[correlation_id] = asyncio.get_running_loop().create_future()
        return future

    def forget(self, correlation_id: str) -> None:
        future = self._awaited.pop(correlation_id)
        if future.done() and not future.cancelled():
            future.exception()  # looked at, so that asyncio does not complain

    async def close(self) -> None:
        """In order if the broker still answers."""
        self._lost()
        await _close(self._connection)

    async def _keep(self, message: AbstractIncomingMessage) -> None:
        future = self._awaited.get(message.correlation_id or "")
        if future is not None and not future.done():
            future.set_result(message.body)

    def _lost(self, *_: object) -> None:
        for future in self._awaited.values():
            if not future.done():
                future.set_exception(Unconfirmed("the connection was lost before postroom's reply"))


async def _close(connection: AbstractConnection) -> None:
    with suppress(*LOST):
        await asyncio.wait_for(connection.close(), _FAREWELL)


def is_own_cancellation() -> bool:
    """Whether the CancelledError at hand is this very task's: aio-pika reports some lost connections so."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
