"""Publishes hundreds of thousands of messages that differ in nothing but an email's id."""

from collections.abc import Callable, Iterable, Sequence

import aiormq
from aiormq.abc import AbstractChannel, ChannelFrame
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

Message = tuple[bytes, Basic.Properties]
MessageOf = Callable[[str], Message]
"""By an email's id. Whatever else is in it may be the same for all."""

_PROBE = "00000000-0000-4000-8000-000000000000"


class BulkPublisher:
    """Messages to one queue. Use it as a context: what was published is safe when that ends.

    All but the last message go without a confirm, which is several times faster. The last one's says that the
    queue has written what came before it, too: what was never to be confirmed RabbitMQ 3.10 keeps in memory,
    and a broker that is killed would forget it.
    """

    def __init__(self, url: str, message_of: MessageOf, *, exchange: str, key: str) -> None:
        self._url = url
        self._message_of = message_of
        self._to = Basic.Publish(exchange=exchange, routing_key=key)
        self._last: str | None = None

    async def __aenter__(self) -> "BulkPublisher":
        self._connection = await aiormq.connect(self._url)
        self._channel = await self._connection.channel(publisher_confirms=False)
        self._frames = frames_of(self._message_of, self._to, self._channel.number)
        return self

    async def publish(self, email_ids: Sequence[str]) -> None:
        """The last of all that were given waits for the end of the context."""
        held = [] if self._last is None else [self._last]
        *ids, self._last = [*held, *email_ids]
        await _write(self._channel, map(self._frames, ids))

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._last is not None:
                await self._channel.close()
                await self._publish_confirmed(self._last)
        finally:
            await self._connection.close()

    async def _publish_confirmed(self, email_id: str) -> None:
        body, properties = self._message_of(email_id)
        channel = await self._connection.channel(publisher_confirms=True)
        await channel.basic_publish(
            body, exchange=self._to.exchange, routing_key=self._to.routing_key, properties=properties
        )


def frames_of(message_of: MessageOf, to: Basic.Publish, channel: int) -> Callable[[str], bytes]:
    """By an email's id what a publish of its message is on the wire.

    It is made once, and then only the id is replaced, if the message has it as text.
    """

    def made(email_id: str) -> bytes:
        body, properties = message_of(email_id)
        frames = (to, ContentHeader(body_size=len(body), properties=properties), ContentBody(body))
        return b"".join(frame.marshal(each, channel) for each in frames)

    body, _ = message_of(_PROBE)
    probe = _PROBE.encode()
    if probe not in body:
        return made
    template = made(_PROBE)
    return lambda email_id: template.replace(probe, email_id.encode())


async def _write(channel: AbstractChannel, frames: Iterable[bytes]) -> None:
    """Returns when the connection has taken them."""
    assert isinstance(channel, aiormq.Channel)
    drained = channel.loop.create_future()
    payload = b"".join(frames)
    await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False, drain_future=drained))
    await drained
