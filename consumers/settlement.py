"""The one table from errors to what becomes of a message, and the verdicts to the broker themselves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from aio_pika.abc import AbstractIncomingMessage

from delivery.broker.connection import CONNECTION_ERRORS, is_own_cancellation
from delivery.domain.errors import InvalidRequest, PostroomError, StoreUnavailable
from delivery.use_cases.messages import HeaderValue, Outgoing, Verdict
from delivery.use_cases.publish_owed import MessagePublisher
from topology import names

log = logging.getLogger(__name__)

T = TypeVar("T")

PAUSE = 0.5
"""Seconds between two tries while the store is away."""


class Fate(StrEnum):
    """What becomes of a message whose handling ended in an error."""

    REFUSE = "refuse"  # keep it in email.rejected, with the reason
    WAIT = "wait"  # keep it unacknowledged and try again
    REQUEUE = "requeue"  # give it back to the broker; its delivery limit ends a message that breaks us


_TABLE: list[tuple[type[Exception], Fate]] = [
    (InvalidRequest, Fate.REFUSE),
    (StoreUnavailable, Fate.WAIT),
    (Exception, Fate.REQUEUE),
]


def fate_of(error: Exception) -> Fate:
    return next(fate for kind, fate in _TABLE if isinstance(error, kind))


async def until_store_answers(call: Callable[[], T]) -> T:
    """Run a call to the store on a thread, again and again while its error says to wait.

    No message is acknowledged meanwhile, so the broker soon sends no more: consuming pauses by itself.
    """
    is_away = False
    while True:
        try:
            result = await asyncio.to_thread(call)
        except PostroomError as error:
            if fate_of(error) is not Fate.WAIT:
                raise
            if not is_away:
                log.warning("store away; waiting")
            is_away = True
            await asyncio.sleep(PAUSE)
        else:
            if is_away:
                log.info("store back")
            return result


async def acknowledge(messages: Iterable[AbstractIncomingMessage]) -> None:
    """Acknowledge; a message whose channel is gone is redelivered, which is harmless."""
    await asyncio.gather(*(_verdict(message.ack) for message in messages))


async def give_back(messages: Iterable[AbstractIncomingMessage]) -> None:
    await asyncio.gather(*(_verdict(message.nack) for message in messages))


async def refuse(message: AbstractIncomingMessage, *, reason: str, publisher: MessagePublisher) -> None:
    """Keep the message in ``email.rejected`` with the reason, then acknowledge it.

    Its own headers that begin with ``x-`` are the broker's and are not carried over. One that can't be
    kept now goes back to its queue.
    """
    verdicts = await publisher.publish([_rejection(message, reason)])
    if verdicts == [Verdict.CONFIRMED]:
        log.info("message refused and kept in email.rejected key=%s", message.routing_key)
        await acknowledge([message])
    else:
        await asyncio.sleep(PAUSE)
        await give_back([message])


def _rejection(message: AbstractIncomingMessage, reason: str) -> Outgoing:
    headers: dict[str, HeaderValue] = {
        "reason": reason,
        "routing_key": message.routing_key or "",
        "user_id": message.user_id or "",
        "message_id": message.message_id or "",
        "rejected_at": datetime.now(UTC).isoformat(),
    }
    return Outgoing(
        exchange=names.EMAIL_EXCHANGE,
        routing_key=names.REJECTED_KEY,
        body=message.body,
        headers=headers,
        content_type=message.content_type or "application/octet-stream",
        correlation_id=message.correlation_id,
    )


async def _verdict(give: Callable[[], Awaitable[None]]) -> None:
    try:
        await give()
    except CONNECTION_ERRORS:
        pass
    except asyncio.CancelledError:
        if is_own_cancellation():
            raise
