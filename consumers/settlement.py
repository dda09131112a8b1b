"""The one table from errors to what becomes of a message, and the verdicts to the broker themselves."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from delivery.broker.connection import CONNECTION_ERRORS, is_own_cancellation
from delivery.broker.delivery import Channel, Delivery, Message
from delivery.domain.errors import InvalidRequest, PostroomError, StoreUnavailable
from delivery.use_cases.messages import HeaderValue, Outgoing, Verdict
from delivery.use_cases.publish_owed import MessagePublisher
from topology import names

log = logging.getLogger(__name__)

T = TypeVar("T")

PAUSE = 0.5
"""Seconds between two tries while the store is away."""


MAX_HEADERS = 20
MAX_HEADER = 255
"""Of a refused message's own headers so many are kept, each of at most so many characters."""


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


async def acknowledge(messages: Iterable[Message]) -> None:
    """Acknowledge; a message whose channel is gone is redelivered, which is harmless."""
    deliveries, others = _by_channel(messages)
    for channel, tags in deliveries.items():
        channel.acknowledge(tags)
    if others:
        await asyncio.gather(*(_verdict(message.ack) for message in others))


async def give_back(messages: Iterable[Message]) -> None:
    deliveries, others = _by_channel(messages)
    for channel, tags in deliveries.items():
        channel.give_back(tags)
    if others:
        await asyncio.gather(*(_verdict(message.nack) for message in others))


def _by_channel(messages: Iterable[Message]) -> tuple[dict[Channel, list[int]], list[Message]]:
    """The deliveries' tags, by their channel; and the other messages, which give verdicts one by one."""
    deliveries: dict[Channel, list[int]] = {}
    others: list[Message] = []
    for message in messages:
        if isinstance(message, Delivery):
            deliveries.setdefault(message.channel, []).append(message.tag)
        else:
            others.append(message)
    return deliveries, others


async def refuse(message: Message, *, queue: str, reason: str, publisher: MessagePublisher) -> None:
    """Keep the message in ``email.rejected``, then acknowledge it. What can't be kept goes back to its queue.

    queue: where it came from. Kept are the body, content_type, correlation_id and priority; as headers the
    reason, the routing key, user_id, message_id and reply_to; and the caller's own headers, if short. Where
    one of these can't be read, the body, the reason and the priority.
    """
    try:
        rejection = _rejection(message, reason)
    except Exception:  # of what a property can be, there is no end; and its reader raises what it meets
        rejection = _bare_rejection(message, reason)
    verdicts = await publisher.publish([rejection])
    if verdicts == [Verdict.CONFIRMED]:
        log.info("message refused and kept in email.rejected queue=%s", queue)
        await acknowledge([message])
    else:
        await asyncio.sleep(PAUSE)
        await give_back([message])


def _rejection(message: Message, reason: str) -> Outgoing:
    headers: dict[str, HeaderValue] = {
        **_own_headers(message),
        "reason": reason,
        "routing_key": message.routing_key or "",
        "user_id": message.user_id or "",
        "message_id": message.message_id or "",
        "reply_to": message.reply_to or "",
        "rejected_at": datetime.now(UTC).isoformat(),
    }
    return Outgoing(
        exchange=names.EMAIL_EXCHANGE,
        routing_key=names.REJECTED_KEY,
        body=message.body,
        priority=message.priority or 0,
        headers=headers,
        content_type=message.content_type or "application/octet-stream",
        correlation_id=message.correlation_id,
    )


def _bare_rejection(message: Message, reason: str) -> Outgoing:
    return Outgoing(
        exchange=names.EMAIL_EXCHANGE,
        routing_key=names.REJECTED_KEY,
        body=message.body,
        priority=message.priority or 0,
        headers={"reason": reason, "rejected_at": datetime.now(UTC).isoformat()},
        content_type="application/octet-stream",
    )


def _own_headers(message: Message) -> dict[str, HeaderValue]:
    """The caller's own: not ``x-*``, CC and BCC, which the broker reads. All must fit into one frame."""
    own = {
        name: value
        for name, value in message.headers.items()
        if not name.lower().startswith("x-")
        and name not in ("CC", "BCC")
        and isinstance(value, (str, int))
        and len(str(value)) <= MAX_HEADER
    }
    return dict(itertools.islice(own.items(), MAX_HEADERS))


async def _verdict(give: Callable[[], Awaitable[None]]) -> None:
    try:
        await give()
    except CONNECTION_ERRORS:
        pass
    except asyncio.CancelledError:
        if is_own_cancellation():
            raise
