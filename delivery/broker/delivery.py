"""A message that the broker delivered, and its acknowledgement."""

import struct
from collections.abc import Awaitable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from pamqp.commands import Basic
from pamqp.common import FieldValue
from pamqp.header import ContentHeader


class Message(Protocol):
    """What consumers know of a message: a Delivery, or one that aio-pika fetched."""

    @property
    def body(self) -> bytes: ...
    @property
    def routing_key(self) -> str | None: ...
    @property
    def redelivered(self) -> bool | None: ...
    @property
    def priority(self) -> int | None: ...
    @property
    def timestamp(self) -> datetime | None: ...
    @property
    def message_id(self) -> str | None: ...
    @property
    def user_id(self) -> str | None: ...
    @property
    def reply_to(self) -> str | None: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def headers(self) -> Mapping[str, FieldValue]: ...

    def ack(self) -> Awaitable[None]: ...

    def nack(self) -> Awaitable[None]: ...


class Writer(Protocol):
    """Where frames are written to; an asyncio.StreamWriter is one."""

    def write(self, data: bytes) -> None: ...

    def is_closing(self) -> bool: ...


_VERDICT = struct.Struct(">BHIIQBB")
_VERDICT_SIZE = 13
_ACK = 60 << 16 | 80
_NACK = 60 << 16 | 120
_MULTIPLE, _REQUEUE = 1, 2
_END = 0xCE


class Channel:
    """One channel from its opening to its close: what was delivered over it and has no verdict yet.

    Nothing here waits or fails: a verdict that can't be given any more is not missed, the broker redelivers.
    """

    def __init__(self, number: int, writer: Writer) -> None:
        self._number = number
        self._writer = writer
        self._open: dict[int, None] = {}
        self.is_closed = False
        self._is_shared = False

    def note(self, tag: int) -> None:
        """A message was delivered; tags only grow."""
        self._open[tag] = None

    def share(self) -> None:
        """Others are given messages over it too: no verdict of ours may reach over theirs."""
        self._is_shared = True

    def close(self) -> None:
        """Tags begin anew on the next channel of this number: no verdict of ours may be taken for theirs."""
        self.is_closed = True

    def acknowledge(self, tags: Iterable[int]) -> None:
        """All in one write. Those before which nothing is open any more share one frame."""
        settled = self._settled(tags)
        run = 0
        for tag in () if self._is_shared else self._open:
            if tag not in settled:
                break
            run = tag
        frames = [self._frame(_ACK, run, _MULTIPLE)] if run else []
        frames += [self._frame(_ACK, tag, 0) for tag in settled if tag > run]
        self._write(frames, settled)

    def give_back(self, tags: Iterable[int]) -> None:
        settled = self._settled(tags)
        self._write([self._frame(_NACK, tag, _REQUEUE) for tag in settled], settled)

    def _settled(self, tags: Iterable[int]) -> Collection[int]:
        return self._open.keys() & tags

    def _frame(self, method: int, tag: int, bits: int) -> bytes:
        return _VERDICT.pack(1, self._number, _VERDICT_SIZE, method, tag, bits, _END)

    def _write(self, frames: list[bytes], settled: Iterable[int]) -> None:
        for tag in settled:
            del self._open[tag]
        if frames and not self.is_closed and not self._writer.is_closing():
            self._writer.write(b"".join(frames))


class Delivery:
    """A Message. Of its properties only priority and timestamp cost little; most are never asked for."""

    __slots__ = (
        "_header",
        "_priority",
        "_properties",
        "_routing_key",
        "_seconds",
        "body",
        "channel",
        "redelivered",
        "tag",
    )

    def __init__(
        self,
        channel: Channel,
        tag: int,
        *,
        redelivered: bool,
        routing_key: bytes,
        header: bytes,
        body: bytes,
    ) -> None:
        """header: the payload of its content header frame."""
        self.channel = channel
        self.tag = tag
        self.redelivered = redelivered
        self.body = body
        self._routing_key = routing_key
        self._header = header
        self._properties: Basic.Properties | None = None
        self._priority, self._seconds = _priority_and_timestamp(header)

    async def ack(self) -> None:
        self.channel.acknowledge([self.tag])

    async def nack(self) -> None:
        """Give it back to its queue."""
        self.channel.give_back([self.tag])

    @property
    def priority(self) -> int | None:
        return self._priority

    @property
    def timestamp(self) -> datetime | None:
        return None if self._seconds is None else datetime.fromtimestamp(self._seconds, UTC)

    @property
    def routing_key(self) -> str:
        """Raises UnicodeDecodeError, as the properties below do: AMQP asks for no encoding."""
        return self._routing_key.decode()

    @property
    def message_id(self) -> str | None:
        return self._read().message_id

    @property
    def user_id(self) -> str | None:
        return self._read().user_id

    @property
    def reply_to(self) -> str | None:
        return self._read().reply_to

    @property
    def correlation_id(self) -> str | None:
        return self._read().correlation_id

    @property
    def content_type(self) -> str | None:
        return self._read().content_type

    @property
    def headers(self) -> Mapping[str, FieldValue]:
        return self._read().headers or {}

    def _read(self) -> Basic.Properties:
        if self._properties is None:
            header = ContentHeader()
            header.unmarshal(self._header)
            self._properties = header.properties
        return self._properties


def _priority_and_timestamp(header: bytes) -> tuple[int | None, int | None]:
    """Where they are depends on the properties before them. AMQP 0-9-1, 4.2.6.1; amqp0-9-1.xml, basic."""
    flags, at = header[12] << 8 | header[13], 14
    priority = seconds = None
    if flags & 0x8000:  # content type
        at += 1 + header[at]
    if flags & 0x4000:  # content encoding
        at += 1 + header[at]
    if flags & 0x2000:  # headers
        at += 4 + int.from_bytes(header[at : at + 4])
    if flags & 0x1000:  # delivery mode
        at += 1
    if flags & 0x0800:
        priority = header[at]
        at += 1
    for flag in (0x0400, 0x0200, 0x0100, 0x0080):  # correlation id, reply to, expiration, message id
        if flags & flag:
            at += 1 + header[at]
    if flags & 0x0040:
        seconds = int.from_bytes(header[at : at + 8])
    return priority, seconds
