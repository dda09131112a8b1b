"""The first messages of the lanes, fetched one by one while nothing consumes them."""

import asyncio
import logging
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractQueue

from consumers.settlement import give_back
from delivery.broker.connection import (
    CONNECTION_ERRORS,
    Connection,
    is_own_cancellation,
    lost_connection_suppressed,
)
from delivery.broker.delivery import Message
from delivery.domain.errors import InvalidRequest
from delivery.domain.tenant_lanes import TenantLane
from delivery.use_cases.messages import decode_email
from topology.definition import lane_queue

log = logging.getLogger(__name__)

LOOK_AT = 10
"""Messages of a queue that are looked at before another queue is."""

FETCH_TIMEOUT = 5
FETCH_TIMEOUT_EACH = 0.02
"""Seconds for a whole look, and for each queue besides: a look that never came to the last of many queues
would never find what waits there."""

CLOSE_TIMEOUT = 2
"""Seconds for the channel to close."""


@dataclass(frozen=True, slots=True)
class Head:
    """A message from the head of a queue. email_id: None if it is no email's message. is_first: whether it
    is the queue's next one, and none was passed over for it."""

    place: TenantLane
    message: Message
    email_id: str | None
    is_first: bool = True


class LaneHeads:
    """Over a channel of its own, made when it is first needed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: AbstractChannel | None = None
        self._queues: dict[TenantLane, AbstractQueue] = {}

    async def next(self, places: Sequence[TenantLane], *, avoid: Container[str]) -> Head | None:
        """The next message of the first of these that has one; None if nothing waits or the broker is away.

        avoid: emails that are taken only if nothing else is found.
        """
        found: list[Head] = []
        try:
            async with asyncio.timeout(look_within(len(places))):
                chosen = await self._choose(places, found, avoid)
        except CONNECTION_ERRORS as error:
            log.warning("no message fetched error=%s", type(error).__name__)
            await self.close()
            return None
        except asyncio.CancelledError:
            if is_own_cancellation():
                raise
            await self.close()
            return None
        await give_back(head.message for head in found if head is not chosen)
        return chosen

    async def close(self) -> None:
        """What was fetched over the channel and not acknowledged goes back to its lane."""
        channel, self._channel = self._channel, None
        self._queues.clear()
        if channel is not None:
            with lost_connection_suppressed():
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await channel.close()

    async def _choose(
        self, places: Sequence[TenantLane], found: list[Head], avoid: Container[str]
    ) -> Head | None:
        for place in places:
            queue = await self._queue(place)
            for passed_over in range(LOOK_AT):
                message = await queue.get(fail=False)
                if message is None:
                    break
                found.append(Head(place, message, _email_id(message), is_first=passed_over == 0))
                if found[-1].email_id not in avoid:
                    return found[-1]
        return found[0] if found else None

    async def _queue(self, place: TenantLane) -> AbstractQueue:
        """Declared, not just named: a tenant's may not be there yet."""
        if self._channel is None:
            self._channel = await self._connection.channel(publisher_confirms=False)
        if place not in self._queues:
            queue = lane_queue(place.key)
            self._queues[place] = await self._channel.declare_queue(
                queue.name, durable=True, arguments=dict(queue.arguments)
            )
        return self._queues[place]


def look_within(queues: int) -> float:
    """Seconds for a look at so many queues."""
    return FETCH_TIMEOUT + FETCH_TIMEOUT_EACH * queues


def _email_id(message: Message) -> str | None:
    with suppress(InvalidRequest):
        return decode_email(message.body).email_id
    return None
