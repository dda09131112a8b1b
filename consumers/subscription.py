"""A subscription to one queue that survives the loss of the connection and of the queue."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection

from delivery.broker.connection import CONNECTION_ERRORS
from topology.model import Topology


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
        """Consume on a channel of its own; a prefetch belongs to one queue."""
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=self._prefetch)
        # Declared, not just named: a broker that comes back empty gets the queue back with the consumer.
        queue = await channel.declare_queue(
            self._queue.name, durable=True, arguments=dict(self._queue.arguments)
        )

        async def callback(message: AbstractIncomingMessage) -> None:
            self._arrived(message)

        tag = await queue.consume(callback)
        self._cancel = lambda: queue.cancel(tag, timeout=2)

    async def stop(self) -> None:
        """Take no more messages; what was delivered stays with us until it is acknowledged."""
        if self._cancel is not None:
            with suppress(*CONNECTION_ERRORS):
                await self._cancel()
            self._cancel = None
