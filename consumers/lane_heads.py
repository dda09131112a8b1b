"""The first messages of the lanes, fetched one by one while nothing consumes them."""

import asyncio
import logging
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractRobustConnection

from consumers.settlement import give_back
from delivery.broker.connection import CONNECTION_ERRORS, is_own_cancellation, lost_connection_suppressed
from delivery.domain.errors import InvalidRequest
from delivery.domain.lanes import Lane
from delivery.use_cases.messages import decode_email
from topology.names import lane_queue

log = logging.getLogger(__name__)

LOOK_AT = 10
"""Messages of a lane that are looked at before another lane is."""

FETCH_TIMEOUT = 5
"""Seconds for a whole look."""

CLOSE_TIMEOUT = 2
"""Seconds for the channel to close."""


@dataclass(frozen=True, slots=True)
class Head:
    """A message from the head of a lane. email_id: None if it is no email's message. is_first: whether it
    is the lane's next one, and none was passed over for it."""

    lane: Lane
    message: AbstractIncomingMessage
    email_id: str | None
    is_first: bool = True


class LaneHeads:
    """Over a channel of its own, made when it is first needed."""

    def __init__(self, connection: AbstractRobustConnection) -> None:
        self._connection = connection
        self._channel: AbstractChannel | None = None

    async def next(self, *, avoid: Container[str]) -> Head | None:
        """The next message of the most urgent lane that has one; None if nothing waits or the broker is away.

        avoid: emails that are taken only if nothing else is found.
        """
        found: list[Head] = []
        try:
            async with asyncio.timeout(FETCH_TIMEOUT):
                chosen = await self._choose(found, avoid)
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
        if channel is not None:
            with lost_connection_suppressed():
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await channel.close()

    async def _choose(self, found: list[Head], avoid: Container[str]) -> Head | None:
        if self._channel is None:
            self._channel = await self._connection.channel(publisher_confirms=False)
        for lane in Lane:
            queue = await self._channel.get_queue(lane_queue(lane), ensure=False)
            for place in range(LOOK_AT):
                message = await queue.get(fail=False)
                if message is None:
                    break
                found.append(Head(lane, message, _email_id(message), is_first=place == 0))
                if found[-1].email_id not in avoid:
                    return found[-1]
        return found[0] if found else None


def _email_id(message: AbstractIncomingMessage) -> str | None:
    with suppress(InvalidRequest):
        return decode_email(message.body).email_id
    return None
