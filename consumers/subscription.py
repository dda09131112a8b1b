"""A subscription to one queue that survives the loss of the connection and of the queue."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from uuid import uuid4

from aio_pika.abc import AbstractQueue

from delivery.broker.connection import (
    CONNECTION_ERRORS,
    RECONNECT_INTERVAL,
    Connection,
    is_own_cancellation,
    lost_connection_suppressed,
)
from delivery.broker.delivery import Message
from topology.model import Binding, Queue

log = logging.getLogger(__name__)


CANCEL_TIMEOUT = 2
"""Seconds for the broker to confirm that it sends no more."""


class Subscription:
    """Delivers messages to ``arrived``, which must return at once: what it begins outlives the connection,
    whose loss has the broker redeliver."""

    def __init__(
        self,
        queue: Queue,
        *,
        prefetch: int,
        arrived: Callable[[Message], None],
        bindings: Sequence[Binding] = (),
    ) -> None:
        """bindings: of a queue that is not there from the first."""
        self._description = queue
        self._bindings = bindings
        self.prefetch = prefetch
        self._arrived = arrived
        self._queue: AbstractQueue | None = None
        self._tag: str | None = None
        self._connection: Connection | None = None
        self._is_wanted = False
        self._starting = asyncio.Lock()

    async def start(self, connection: Connection) -> None:
        """Consume, however often the connection breaks on the way; from then on it restores this itself.

        Returns early if it is stopped meanwhile. After ``stop`` it may be started again.
        """
        self._is_wanted = True
        self._connection = connection
        async with self._starting:
            while self._is_wanted and self._tag is None:
                if not await self._consume(connection):
                    await asyncio.sleep(RECONNECT_INTERVAL)
        if not self._is_wanted:
            await self.stop()

    async def _consume(self, connection: Connection) -> bool:
        """False if the connection broke."""
        try:
            if self._queue is None:
                self._queue = await self._open(connection)
            await self._queue.channel.set_qos(prefetch_count=self.prefetch)
            self._tag = await self._consume_from(self._queue, connection)
        except CONNECTION_ERRORS as error:
            log.warning("not consuming yet queue=%s: %s", self._description.name, type(error).__name__)
            return False
        except asyncio.CancelledError:
            if is_own_cancellation():
                raise
            return False
        return True

    async def _consume_from(self, queue: AbstractQueue, connection: Connection) -> str:
        """Returns the consumer's tag. aio-pika gets only what comes while the tag has no route."""
        tag = uuid4().hex
        connection.routes.add(tag, self._arrived)
        try:
            return await queue.consume(self._callback, consumer_tag=tag)
        except BaseException:
            connection.routes.remove(tag)
            raise

    async def _open(self, connection: Connection) -> AbstractQueue:
        """On a channel of its own: a prefetch belongs to one queue."""
        channel = await connection.channel(publisher_confirms=False)
        # Declared, not just named: a broker that comes back empty gets the queue back with the consumer.
        queue = await channel.declare_queue(
            self._description.name, durable=True, arguments=dict(self._description.arguments)
        )
        for binding in self._bindings:
            # Not restored with the connection: on a broker that comes back empty the exchange comes later.
            await queue.bind(binding.exchange, binding.routing_key, robust=False)
        return queue

    async def resize(self, prefetch: int) -> None:
        """Hold so many messages at once from now on; what was delivered stays with us, and comes on top.

        The consumer is renewed: RabbitMQ keeps a prefetch for as long as it lives.
        https://www.rabbitmq.com/docs/consumer-prefetch
        """
        self.prefetch = prefetch
        if self._connection is not None and self._tag is not None:
            await self._cancel()
            if self._is_wanted:
                await self.start(self._connection)

    async def _callback(self, message: Message) -> None:
        self._arrived(message)

    async def stop(self) -> None:
        """Take no more messages; what was delivered stays with us until it is acknowledged."""
        self._is_wanted = False
        await self._cancel()

    async def _cancel(self) -> None:
        tag, self._tag = self._tag, None
        if self._queue is not None and tag is not None:
            with lost_connection_suppressed():
                async with asyncio.timeout(CANCEL_TIMEOUT):
                    await self._queue.cancel(tag)
            if self._connection is not None:
                self._connection.routes.remove(tag)
