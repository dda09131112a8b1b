"""Messages as the bytes that a channel publishes them in.

What two messages of one kind share is marshalled once: a message of ours has 50 bytes, and marshalling its
frames one property at a time cost more than all else that is done to publish it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from struct import Struct
from uuid import uuid4

from aio_pika import DeliveryMode
from aiormq import spec
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from delivery.use_cases.messages import Outgoing

MAX_KINDS = 4096
"""Remembered. A kind is an exchange, a key and a few properties: a few for each lane of each tenant."""

MAX_FRAME = 2**32 - 1
"""Bytes that a frame's head can tell of."""

_ID_PREFIX = 12
_ID_LENGTH = _ID_PREFIX + 16
_EPOCH = datetime.fromtimestamp(0, UTC)
_FRAME_END = b"\xce"
_METHOD_AND_WEIGHT = 7 + 4
"""Bytes of a header frame before the size of the body: the frame's own head, the class and the weight."""

_UINT64 = Struct(">Q")
_UINT32 = Struct(">I")

_Kind = tuple[str, str, int, bool, str | None]


@dataclass(frozen=True, slots=True)
class _Template:
    """What is the same for all messages of a kind. Between its parts come the size of the body, then the
    message_id and the time."""

    start: bytes
    middle: bytes
    end: bytes


class Frames:
    """The frames of one channel. Every message gets a ``message_id`` of its own: by it alone the broker says
    which one had no route."""

    def __init__(self, channel: int, *, max_body: int) -> None:
        """max_body: how much of a body one frame may carry; without a limit if it is not positive, as
        when the broker's frame_max is 0."""
        self._channel = channel
        self._max_body = max_body if max_body > 0 else MAX_FRAME
        self._body_head = b"\x03" + channel.to_bytes(2)
        self._templates: dict[_Kind, _Template] = {}
        self._prefix = uuid4().hex[:_ID_PREFIX]

    def marshal(self, message: Outgoing, *, number: int, at: datetime) -> bytes:
        """number: of the message, among all that are published on the channel.

        Raises ValueError, TypeError or struct.error for what AMQP has no room for.
        """
        message_id = f"{self._prefix}{number:016x}"
        if message.headers or message.correlation_id is not None:
            return self._head(message, message_id=message_id, at=at) + self._bodies(message.body)
        kind = (
            message.exchange,
            message.routing_key,
            message.priority,
            message.mandatory,
            message.content_type,
        )
        template = self._templates.get(kind) or self._remember(kind, message)
        return b"".join(
            (
                template.start,
                _UINT64.pack(len(message.body)),
                template.middle,
                message_id.encode(),
                _UINT64.pack(int(at.timestamp())),
                template.end,
                self._bodies(message.body),
            )
        )

    def _remember(self, kind: _Kind, message: Outgoing) -> _Template:
        placeholder = self._prefix.ljust(_ID_LENGTH, "-")
        head = self._head(message, message_id=placeholder, at=_EPOCH)
        method_length = len(marshal(_publish(message), self._channel))
        size_at, id_at = method_length + _METHOD_AND_WEIGHT, head.rindex(placeholder.encode())
        template = _Template(
            head[:size_at],
            head[size_at + _UINT64.size : id_at],
            head[id_at + _ID_LENGTH + _UINT64.size :],  # the time comes right after the id
        )
        if len(self._templates) >= MAX_KINDS:
            self._templates.clear()
        self._templates[kind] = template
        return template

    def _head(self, message: Outgoing, *, message_id: str, at: datetime) -> bytes:
        properties = spec.Basic.Properties(
            delivery_mode=DeliveryMode.PERSISTENT,
            content_type=message.content_type,
            priority=message.priority,
            headers=dict(message.headers) or None,
            message_id=message_id,
            correlation_id=message.correlation_id,
            timestamp=at,
        )
        header = ContentHeader(properties=properties, body_size=len(message.body))
        return marshal(_publish(message), self._channel) + marshal(header, self._channel)

    def _bodies(self, body: bytes) -> bytes:
        if 0 < len(body) <= self._max_body:
            return b"".join((self._body_head, _UINT32.pack(len(body)), body, _FRAME_END))
        parts = (body[start : start + self._max_body] for start in range(0, len(body), self._max_body))
        return b"".join(marshal(ContentBody(part), self._channel) for part in parts)


def number_of(message_id: str) -> int:
    """The number that a message was marshalled with."""
    return int(message_id[_ID_PREFIX:], 16)


def _publish(message: Outgoing) -> spec.Basic.Publish:
    return spec.Basic.Publish(
        exchange=message.exchange, routing_key=message.routing_key, mandatory=message.mandatory
    )
