"""``AmqpSender``: emails straight to the exchange ``email.ingest``, with confirms and postroom's replies."""

import asyncio
import json
import uuid
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakValueDictionary

import aio_pika
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, DeliveryError, PublishError
from aiormq.exceptions import ChannelAccessRefused

from postroom_client.amqp_line import EXCHANGE, LOST, REPLIES, Line, is_own_cancellation
from postroom_client.emails import PlainEmail
from postroom_client.errors import Denied, NoReply, NotTaken, PostroomError, Unconfirmed, Unroutable

LANES = ("critical", "transactional", "standard", "bulk")

_LONGEST_ID = 255
_LARGEST_BODY = 12 * 1024 * 1024
"""Bytes. postroom denies smaller ones, too, as it is configured."""


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
        self._line: Line | None = None
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
        if not 1 <= len(message_id.encode()) <= _LONGEST_ID:
            raise ValueError(f"message_id must have 1 to {_LONGEST_ID} bytes")
        body = email.as_bytes()
        if len(body) > _LARGEST_BODY:  # else the broker closes the channel, under all that are on it
            raise ValueError(f"the email is larger than {_LARGEST_BODY} bytes")
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        message = aio_pika.Message(
            body,
            content_type="application/json",
            message_id=message_id,
            user_id=self._user,
            reply_to=REPLIES,
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

    async def _publish(self, line: Line, message: aio_pika.Message, *, routing_key: str) -> None:
        try:
            await line.exchange.publish(message, routing_key, timeout=self._confirm_within)
        except PublishError as error:
            raise Unroutable("the broker returned it") from error
        except DeliveryError as error:
            raise NotTaken("the broker refused it") from error
        except ChannelNotFoundEntity as error:
            raise Unroutable(f"the broker has no exchange {EXCHANGE}") from error
        except ChannelAccessRefused as error:
            raise NotTaken(f"{self._user} may not publish to {EXCHANGE}") from error
        except ChannelClosed as error:  # maybe for the fault of another one on it
            raise Unconfirmed(f"the broker closed the channel: {error}") from error
        except LOST as error:
            await self._drop(line)
            raise Unconfirmed(f"no confirm: {type(error).__name__}") from error
        except asyncio.CancelledError:
            if is_own_cancellation():
                raise
            await self._drop(line)
            raise Unconfirmed("no confirm: the connection was lost") from None

    async def _connected(self) -> Line:
        async with self._connecting:
            if self._line is None or self._line.is_lost:
                await self.close()
                try:
                    self._line = await asyncio.wait_for(Line.open(self._url), self._confirm_within)
                except LOST as error:
                    raise NotTaken(f"no connection to the broker: {type(error).__name__}") from error
                except asyncio.CancelledError:
                    if is_own_cancellation():
                        raise
                    raise NotTaken("no connection to the broker: it was lost again") from None
            return self._line

    async def _drop(self, line: Line) -> None:
        """A confirm that comes too late must be taken for nobody else's."""
        if self._line is line:
            self._line = None
        await line.close()


def _email_id(reply: bytes) -> str:
    """Raises Denied."""
    answer: dict[str, Any] = json.loads(reply)
    if answer.get("status") != "accepted":
        raise Denied(str(answer.get("reason", "no reason given")))
    return str(answer["request_id"])
