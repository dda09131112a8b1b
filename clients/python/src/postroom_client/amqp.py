"""``AmqpSender``: emails straight to the exchange ``email.ingest``, with confirms and postroom's replies."""

import asyncio
import json
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakValueDictionary

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import (
    AMQPError,
    ChannelClosed,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    DeliveryError,
    PublishError,
)
from aiormq.exceptions import ChannelAccessRefused

from postroom_client.emails import PlainEmail
from postroom_client.errors import Denied, NoReply, NotTaken, PostroomError, Unconfirmed, Unroutable

LANES = ("critical", "transactional", "standard", "bulk")

_EXCHANGE = "email.ingest"
_REPLIES = "amq.rabbitmq.reply-to"
"""Direct reply-to: answers come over this channel, without a queue. https://www.rabbitmq.com/docs/direct-reply-to"""

_FAREWELL = 1.0
"""Seconds for closing a connection in order."""

_LOST = (AMQPError, ChannelInvalidStateError, ConnectionError, OSError, RuntimeError, TimeoutError)
"""What aio-pika raises where a connection is lost, can't be had, or says nothing."""


class AmqpSender:
    """Sends from one event loop, over one connection, which it makes when it is needed and makes again.

    Any number of sends may be under way at once.
    """

    def __init__(
        self,
        url: str,
        *,
        service: str,
        user: str | None = None,
        confirm_within: float = 5.0,
        reply_within: float = 30.0,
    ) -> None:
        """url: of the broker, with the service's login. service: its name, without dots.

        user: the login's name, if it is not in the url. confirm_within: seconds for connecting, and again for
        the broker's confirm; reply_within: seconds for postroom's reply after that.
        """
        known = user or unquote(urlsplit(url).username or "")
        if not known:
            raise ValueError("postroom takes no message without user_id: give a url with a login, or user")
        if not service or "." in service:
            raise ValueError("service must be a word without dots")
        self._url = url
        self._user: str = known
        self._service = service
        self._confirm_within = confirm_within
        self._reply_within = reply_within
        self._connecting = asyncio.Lock()
        self._line: _Line | None = None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> "AmqpSender":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def send(
        self,
        email: PlainEmail,
        *,
        message_id: str | None = None,
        lane: str = "transactional",
        idempotency_key: str | None = None,
    ) -> str:
        """Hand over an email, wait for postroom's reply and return the email's id.

        message_id: under each there is one email, for good. Take one of your own, such as an order's number,
        and an email may be sent again after any error and any crash. One that is made up is in the error.

        Raises Denied if postroom does not take it, NotTaken if the broker does not (Unroutable: it has no way
        to postroom), and Unconfirmed if nobody knows; NoReply if the broker has it and postroom is silent.
        """
        if lane not in LANES:
            raise ValueError(f"lane must be one of {', '.join(LANES)}")
        message_id = uuid.uuid4().hex if message_id is None else message_id
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        message = aio_pika.Message(
            email.as_bytes(),
            content_type="application/json",
            message_id=message_id,
            user_id=self._user,
            reply_to=_REPLIES,
            correlation_id=uuid.uuid4().hex,
            headers=dict(headers),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            # Two in flight with one message_id swap their verdicts: the broker's return names no other id.
            async with self._turns.setdefault(message_id, asyncio.Lock()):
                return _email_id(await self._exchange(message, routing_key=f"{lane}.{self._service}"))
        except PostroomError as error:
            error.message_id, error.idempotency_key = message_id, idempotency_key
            raise

    async def close(self) -> None:
        """Sends that are under way end with Unconfirmed."""
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def _exchange(self, message: aio_pika.Message, *, routing_key: str) -> bytes:
        """The message for its reply."""
        line = await self._connected()
        reply = line.awaited(str(message.correlation_id))
        try:
            await self._publish(line, message, routing_key=routing_key)
            return await asyncio.wait_for(reply, self._reply_within)
        except TimeoutError:
            raise NoReply(f"no reply within {self._reply_within:g} s") from None
        finally:
            line.forget(str(message.correlation_id))

    async def _publish(self, line: "_Line", message: aio_pika.Message, *, routing_key: str) -> None:
        try:
            await line.exchange.publish(message, routing_key, timeout=self._confirm_within)
        except PublishError as error:
            raise Unroutable("the broker returned it") from error
        except DeliveryError as error:
            raise NotTaken("the broker refused it") from error
        except ChannelNotFoundEntity as error:
            raise Unroutable(f"the broker has no exchange {_EXCHANGE}") from error
        except ChannelAccessRefused as error:
            raise NotTaken(f"{self._user} may not publish to {_EXCHANGE}") from error
        except ChannelClosed as error:  # maybe for the fault of another one on it
            raise Unconfirmed(f"the broker closed the channel: {error}") from error
        except _LOST as error:
            await self._drop(line)
            raise Unconfirmed(f"no confirm: {type(error).__name__}") from error
        except asyncio.CancelledError:
            if _is_own_cancellation():
                raise
            await self._drop(line)
            raise Unconfirmed("no confirm: the connection was lost") from None

    async def _connected(self) -> "_Line":
        async with self._connecting:
            if self._line is None or self._line.is_lost:
                await self.close()
                try:
                    self._line = await asyncio.wait_for(_Line.open(self._url), self._confirm_within)
                except _LOST as error:
                    raise NotTaken(f"no connection to the broker: {type(error).__name__}") from error
                except asyncio.CancelledError:
                    if _is_own_cancellation():
                        raise
                    raise NotTaken("no connection to the broker: it was lost again") from None
            return self._line

    async def _drop(self, line: "_Line") -> None:
        """A confirm that comes too late must be taken for nobody else's."""
        if self._line is line:
            self._line = None
        await line.close()


class _Line:
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
    async def open(cls, url: str) -> "_Line":
        connection = await aio_pika.connect(url)
        try:
            channel = await connection.channel(on_return_raises=True)
            line = cls(connection, channel, await channel.get_exchange(_EXCHANGE, ensure=False))
            replies = await channel.get_queue(_REPLIES, ensure=False)
            await replies.consume(line._keep, no_ack=True)
        except BaseException:
            await connection.close()
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
        with suppress(*_LOST):
            await asyncio.wait_for(self._connection.close(), _FAREWELL)

    async def _keep(self, message: AbstractIncomingMessage) -> None:
        future = self._awaited.get(message.correlation_id or "")
        if future is not None and not future.done():
            future.set_result(message.body)

    def _lost(self, *_: object) -> None:
        for future in self._awaited.values():
            if not future.done():
                future.set_exception(Unconfirmed("the connection was lost before postroom's reply"))


def _email_id(reply: bytes) -> str:
    """Raises Denied."""
    answer: dict[str, Any] = json.loads(reply)
    if answer.get("status") != "accepted":
        raise Denied(str(answer.get("reason", "no reason given")))
    return str(answer["request_id"])


def _is_own_cancellation() -> bool:
    """Whether the CancelledError at hand is this very task's: aio-pika reports some lost connections so."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
