"""A subscription to one queue that survives the loss of the connection and of the queue."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection

from delivery.broker.connection import (
    CONNECTION_ERRORS,
    RECONNECT_INTERVAL,
    is_own_cancellation,
    lost_connection_suppressed,
)
from topology.model import Topology

log = logging.getLogger(__name__)


class Subscription:
    """Delivers messages to ``arrived``, which must return at once: aio-pika cancels what runs in a callback
    when the connection drops, and the broker redelivers while it would still be at work."""

    def __init__(
        self,
        queue: str,
        *,
        prefetch: int,
        arrived: Callable[[AbstractIncomingMessage], None],
        topology: Topology,
    ) -> None:
        self._queue = next(known for known in topology.queues if known.name == queue)
        self._prefetch = prefetch
        self._arrived = arrived
        self._cancel: Callable[[], Awaitable[object]] | None = None

    async def start(self, connection: AbstractRobustConnection) -> None:
        """Consume, however often the connection breaks on the way; from then on it restores this itself."""
        while True:
            if await self._consume(connection):
                return
            await asyncio.sleep(RECONNECT_INTERVAL)

    async def _consume(self, connection: AbstractRobustConnection) -> bool:
        """Consume on a channel of its own: a prefetch belongs to one queue. False if the connection broke."""
        try:
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=self._prefetch)
            # Declared, not just named: a broker that comes back empty gets the queue back with the consumer.
            queue = await channel.declare_queue(
                self._queue.name, durable=True, arguments=dict(self._queue.arguments)
            )
            tag = await queue.consume(self._callback)
        except CONNECTION_ERRORS as error:
            log.warning("not consuming yet queue=%s: %s", self._queue.name, type(error).__name__)
            return False
        except asyncio.CancelledError:
            if is_own_cancellation():
                raise
            return False
        self._cancel = lambda: queue.cancel(tag, timeout=2)
        return True

    async def _callback(self, message: AbstractIncomingMessage) -> None:
        self._arrived(message)

    async def stop(self) -> None:
        """Take no more messages; what was delivered stays with us until it is acknowledged."""
        if self._cancel is not None:
            with lost_connection_suppressed():
                await self._cancel()
            self._cancel = None
