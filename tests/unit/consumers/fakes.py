"""What the consumers work with, in memory."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from consumers.batch_consumer import BatchConsumer
from delivery.broker.delivery import Message
from delivery.use_cases.messages import Outgoing, Verdict


@dataclass
class Incoming:
    """A delivered message that remembers what became of it."""

    body: bytes = b"{}"
    routing_key: str | None = "bulk.shop"
    user_id: str | None = "shop"
    message_id: str | None = "1"
    content_type: str | None = "application/json"
    correlation_id: str | None = "c"
    reply_to: str | None = None
    priority: int | None = None
    timestamp: datetime | None = None
    redelivered: bool = False
    headers: dict[str, Any] = field(default_factory=lambda: {"x-death": [], "trace": "1"})
    error: BaseException | None = None
    verdicts: list[str] = field(default_factory=list)
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    async def ack(self) -> None:
        self._give("ack")

    async def nack(self) -> None:
        self._give("nack")

    def _give(self, verdict: str) -> None:
        if self.error is not None:
            raise self.error
        self.verdicts.append(verdict)
        self.settled.set()


class Publisher:
    def __init__(self, verdict: Verdict = Verdict.CONFIRMED) -> None:
        self.verdict = verdict
        self.messages: list[Outgoing] = []

    async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
        self.messages += messages
        return [self.verdict] * len(messages)


def incoming(message: Incoming) -> Message:
    return cast(Message, message)


async def consume(make: Callable[[], BatchConsumer], messages: Sequence[Incoming]) -> None:
    """Let the consumer work until each of these messages is settled."""
    consumer = make()
    for message in messages:
        consumer._arrived(incoming(message))
    running = asyncio.create_task(consumer.run())
    async with asyncio.timeout(60):
        await asyncio.gather(*(message.settled.wait() for message in messages))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
