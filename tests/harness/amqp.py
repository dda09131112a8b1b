"""A blocking AMQP client for tests, over aio-pika on a loop thread of its own."""

import asyncio
import json
import threading
import uuid
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, HeadersType

T = TypeVar("T")

_CALL_SECONDS = 30.0
_IN_FLIGHT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to publish. A body that is not bytes is sent as JSON."""

    body: object
    message_id: str | None = None
    user_id: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    content_type: str | None = "application/json"
    priority: int | None = None
    headers: HeadersType | None = None
    timestamp: datetime | None = None

    def message(self) -> aio_pika.Message:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return aio_pika.Message(
            body,
            message_id=self.message_id or str(uuid.uuid4()),
            user_id=self.user_id,
            reply_to=self.reply_to,
            correlation_id=self.correlation_id,
            content_type=self.content_type,
            priority=self.priority,
            headers=self.headers,
            timestamp=self.timestamp,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )


class AmqpClient:
    """Connects at its first use and again after the connection was lost. Close it at the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-amqp", daemon=True)
        self._thread.start()
        self._connection: AbstractConnection | None = None

    def publish(self, exchange: str, routing_key: str, messages: Iterable[Outgoing]) -> None:
        """Publish all, mandatory and confirmed. Raises aio_pika's errors if one is refused or unroutable."""
        self._call(self._publish(exchange, routing_key, list(messages)))

    def depth(self, queue: str) -> int:
        """How many messages are ready in the queue, now."""
        return self._call(self._depth(queue))

    def consumers(self, queue: str) -> int:
        """How many consumers the queue has, now."""
        return self._call(self._consumers(queue))

    def take(self, queue: str) -> AbstractIncomingMessage | None:
        """Take one message for good; None if the queue is empty."""
        return self._call(self._take(queue))

    def declare_queue(self, name: str) -> None:
        """A queue that goes with this connection: for replies, or for bindings to `email.events`."""
        self._call(self._declare_queue(name))

    def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        self._call(self._bind(queue, exchange, routing_key))

    def purge(self, queue: str) -> None:
        self._call(self._purge(queue))

    def call(self, exchange: str, routing_key: str, message: Outgoing, *, within: float) -> dict[str, Any]:
        """Publish with direct reply-to and return the JSON reply. Raises TimeoutError without one.

        https://www.rabbitmq.com/docs/direct-reply-to
        """
        return self._call(asyncio.wait_for(self._call_and_await(exchange, routing_key, message), within))

    def close(self) -> None:
        if self._loop.is_closed():
            return
        if self._connection is not None and not self._connection.is_closed:
            self._call(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_SECONDS)

    async def _channel(self) -> AbstractChannel:
        if self._connection is not None:
            # A connection that was lost still says that it is open; only its use tells.
            with suppress(RuntimeError, aio_pika.exceptions.AMQPError):
                return await self._connection.channel(on_return_raises=True)
        self._connection = await aio_pika.connect(self._url, timeout=5)
        return await self._connection.channel(on_return_raises=True)

    async def _publish(self, exchange: str, routing_key: str, messages: list[Outgoing]) -> None:
        async with await self._channel() as channel:
            target = (
                await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
            )
            for start in range(0, len(messages), _IN_FLIGHT):
                batch = messages[start : start + _IN_FLIGHT]
                await asyncio.gather(
                    *(target.publish(item.message(), routing_key, timeout=10) for item in batch)
                )

    async def _depth(self, queue: str) -> int:
        async with await self._channel() as channel:
            declared = await channel.declare_queue(queue, passive=True)
            return declared.declaration_result.message_count or 0

    async def _consumers(self, queue: str) -> int:
        async with await self._channel() as channel:
            declared = await channel.declare_queue(queue, passive=True)
            return declared.declaration_result.consumer_count or 0

    async def _take(self, queue: str) -> AbstractIncomingMessage | None:
        async with await self._channel() as channel:
            there = await channel.get_queue(queue, ensure=False)
            return await there.get(no_ack=True, fail=False)

    async def _declare_queue(self, name: str) -> None:
        async with await self._channel() as channel:
            await channel.declare_queue(name, exclusive=True)

    async def _bind(self, queue: str, exchange: str, routing_key: str) -> None:
        async with await self._channel() as channel:
            there = await channel.get_queue(queue, ensure=False)
            await there.bind(exchange, routing_key)

    async def _purge(self, queue: str) -> None:
        async with await self._channel() as channel:
            there = await channel.get_queue(queue, ensure=False)
            await there.purge()

    async def _call_and_await(self, exchange: str, routing_key: str, message: Outgoing) -> dict[str, Any]:
        async with await self._channel() as channel:
            reply: asyncio.Future[bytes] = self._loop.create_future()

            async def keep(incoming: AbstractIncomingMessage) -> None:
                if not reply.done():
                    reply.set_result(incoming.body)

            replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
            await replies.consume(keep, no_ack=True)
            outgoing = message.message()
            outgoing.reply_to = "amq.rabbitmq.reply-to"
            target = await channel.get_exchange(exchange, ensure=False)
            await target.publish(outgoing, routing_key, timeout=10)
            answer: dict[str, Any] = json.loads(await reply)
            return answer
