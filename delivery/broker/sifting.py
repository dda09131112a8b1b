"""Takes deliveries and confirms out of what the broker sends, before aiormq makes frames and tasks of it.

A connection under load gets little else, and aio-pika spends a quarter of a millisecond on each delivery.
What isn't for a consumer or a publisher that is known here goes on to aiormq as it came; so whatever it does
with connections, channels and heartbeats stays its own.
"""

import asyncio
import logging
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, cast

from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from pamqp.header import ContentHeader
from yarl import URL

from delivery.broker.delivery import Channel, Delivery, Writer

log = logging.getLogger(__name__)

CHUNK = 64 * 1024

HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
HEARTBEAT_EVERY = 1.0
"""Seconds. The broker sends none while it sends deliveries, and aiormq would take it for gone."""

Taker = Callable[[Delivery], None]

_FRAME = struct.Struct(">BHI")
_METHOD, _HEADER, _BODY = 1, 2, 3
_KINDS = frozenset({_METHOD, _HEADER, _BODY, 8})
_RETURN, _DELIVER, _ACK, _NACK = ((60 << 16 | method).to_bytes(4) for method in (50, 60, 80, 120))
_GOT = (60 << 16 | 71).to_bytes(4)
_OPENED = (20 << 16 | 11).to_bytes(4)
_CLOSE = (20 << 16 | 40).to_bytes(4)
_RENEWALS = frozenset((20 << 16 | method).to_bytes(4) for method in (11, 40, 41))
"""channel.open-ok, close and close-ok: what is delivered or confirmed from then on has tags of its own."""


class Confirms(Protocol):
    """Who published on a channel. Each must return at once, and not raise."""

    def confirmed(self, tag: int, *, multiple: bool) -> None: ...

    def refused(self, tag: int, *, multiple: bool) -> None: ...

    def returned(self, message_id: str) -> None: ...

    def close(self) -> None: ...


class Routes(TransportFactory):
    """Who takes what is delivered, by consumer tag, however often the connection is made again.

    sieve: the present connection's, or the last one's.
    """

    def __init__(self) -> None:
        self._takers: dict[bytes, Taker] = {}
        self.sieve: Sieve | None = None

    def add(self, consumer_tag: str, taker: Taker) -> None:
        """taker: must return at once, and not raise. Add it before the broker knows the tag."""
        self._takers[consumer_tag.encode()] = taker

    def remove(self, consumer_tag: str) -> None:
        """Only when the broker sends nothing to it any more."""
        self._takers.pop(consumer_tag.encode(), None)

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, for aiormq."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await factory.create(url, **kwargs)
        self.sieve = Sieve(self._takers, writer)
        return SiftedReader(reader, self.sieve), cast(asyncio.StreamWriter, WatchedWriter(writer, self.sieve))


class WatchedWriter:
    """What aiormq writes to: a StreamWriter that tells the sieve which channels aiormq closes.

    Nothing of ours may follow a channel's close: the broker would end the whole connection.
    """

    def __init__(self, writer: asyncio.StreamWriter, sieve: "Sieve") -> None:
        self._writer = writer
        self._sieve = sieve

    def write(self, data: bytes) -> None:
        """data: begins with a whole frame; a close comes alone."""
        if data[_FRAME.size : _FRAME.size + 4] == _CLOSE and data[0] == _METHOD:
            self._sieve.forget(int.from_bytes(data[1:3]))
        self._writer.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


class SiftedReader(asyncio.StreamReader):
    """What aiormq reads: all but the deliveries that are taken."""

    def __init__(self, source: asyncio.StreamReader, sieve: "Sieve") -> None:
        super().__init__()
        self._source = source
        self._sieve = sieve

    def at_eof(self) -> bool:
        return not self._sieve.passed and self._source.at_eof()

    async def readexactly(self, n: int) -> bytes:
        passed = self._sieve.passed
        while len(passed) < n:
            await self._read_on(expected=n)
        data = bytes(passed[:n])
        del passed[:n]
        return data

    async def read(self, n: int = -1) -> bytes:
        """Raises RuntimeError: what is read past the sieve would be lost to those who wait for it."""
        raise RuntimeError("a version of aiormq that reads in another way")

    async def _read_on(self, expected: int) -> None:
        try:
            data = await self._source.read(CHUNK)
        except BaseException:
            self._sieve.close()
            raise
        if not data:
            self._sieve.close()
            raise asyncio.IncompleteReadError(bytes(self._sieve.passed), expected)
        self._sieve.feed(data, now=asyncio.get_running_loop().time())


class Sieve:
    """Of one connection. passed: bytes that are aiormq's, whole frames only."""

    def __init__(self, takers: dict[bytes, Taker], writer: Writer) -> None:
        self._takers = takers
        self.writer = writer
        self._partial = b""
        self._is_amqp = True
        self._channels: dict[int, Channel] = {}
        self._begun: dict[int, _Begun] = {}
        self._opened: set[int] = set()
        self._closing: set[int] = set()
        self._confirms: dict[int, Confirms] = {}
        self._beat_at = float("-inf")
        self.passed = bytearray()

    def close(self) -> None:
        """The connection is gone, and what it delivered goes to others."""
        for number in {*self._channels, *self._confirms}:
            self._renew(number)
        self._opened.clear()
        self._closing.clear()

    def forget(self, number: int) -> None:
        """We close this channel. What is still delivered over it goes to others; no verdict on it is sent."""
        self._renew(number)
        self._closing.add(number)

    def confirm(self, number: int, confirms: Confirms) -> None:
        """Tell it what becomes of what is published on a channel. Raises ConnectionError if none is open."""
        if number not in self._opened:
            raise ConnectionError("the channel is closed")
        self._confirms[number] = confirms

    def feed(self, data: bytes, *, now: float) -> None:
        """Take the deliveries out of the next bytes. now: seconds of a monotonic clock."""
        if self._partial:
            data = self._partial + data
        at, end, taken = 0, len(data), False
        while self._is_amqp and end - at >= _FRAME.size:
            kind, number, size = _FRAME.unpack_from(data, at)
            if kind not in _KINDS:  # not our protocol: aiormq says what is wrong
                self._is_amqp = False
                break
            after = at + _FRAME.size + size + 1
            if after > end:
                break
            if self._take(kind, number, data, at + _FRAME.size, after - 1):
                taken = True
            else:
                self.passed += data[at:after]
            at = after
        if self._is_amqp:
            self._partial = data[at:]
        else:
            self.passed += data[at:]
            self._partial = b""
        if taken and now - self._beat_at >= HEARTBEAT_EVERY:
            self._beat_at = now
            self.passed += HEARTBEAT

    def _take(self, kind: int, number: int, data: bytes, start: int, stop: int) -> bool:
        """Whether the frame, whose payload is data[start:stop], is part of a delivery that is taken."""
        if kind == _METHOD:
            return self._take_method(number, data, start)
        begun = self._begun.get(number)
        if begun is None:
            return False
        if kind == _HEADER:
            begun.header = data[start:stop]
            begun.missing = int.from_bytes(data[start + 4 : start + 12])
        elif kind == _BODY:
            begun.bodies.append(data[start:stop])
            begun.missing -= stop - start
        else:
            return False
        if begun.missing <= 0:
            del self._begun[number]
            begun.end()
        return True

    def _take_method(self, number: int, data: bytes, start: int) -> bool:
        method = data[start : start + 4]
        if method == _DELIVER:
            return self._take_delivery(number, data, start)
        if method in _RENEWALS:
            self._renew(number)
            if method == _OPENED:
                self._opened.add(number)
            return False
        if method == _GOT:
            self._channel(number).share()
        confirms = self._confirms.get(number)
        return confirms is not None and self._take_confirm(confirms, number, data, start)

    def _take_confirm(self, confirms: Confirms, number: int, data: bytes, start: int) -> bool:
        method = data[start : start + 4]
        if method == _RETURN:
            self._begun[number] = _Returned(confirms)
            return True
        if method not in (_ACK, _NACK):
            return False
        tell = confirms.confirmed if method == _ACK else confirms.refused
        tell(int.from_bytes(data[start + 4 : start + 12]), multiple=bool(data[start + 12] & 1))
        return True

    def _take_delivery(self, number: int, data: bytes, start: int) -> bool:
        tag_end = start + 5 + data[start + 4]
        taker = self._takers.get(data[start + 5 : tag_end])
        if taker is None:
            self._channel(number).share()
            return False
        key_at = tag_end + 10 + data[tag_end + 9]  # behind the delivery tag, a bit and the exchange
        self._begun[number] = _Delivered(
            taker,
            self._channel(number),
            tag=int.from_bytes(data[tag_end : tag_end + 8]),
            redelivered=bool(data[tag_end + 8] & 1),
            routing_key=data[key_at + 1 : key_at + 1 + data[key_at]],
        )
        return True

    def _channel(self, number: int) -> Channel:
        channel = self._channels.get(number)
        if channel is None:
            channel = self._channels[number] = Channel(number, self.writer)
            if number in self._closing:
                channel.close()
        return channel

    def _renew(self, number: int) -> None:
        self._begun.pop(number, None)
        self._opened.discard(number)
        self._closing.discard(number)
        channel, confirms = self._channels.pop(number, None), self._confirms.pop(number, None)
        if channel is not None:
            channel.close()
        if confirms is not None:
            confirms.close()


class _Begun(ABC):
    """A message whose content is still to come. missing: bytes of its body."""

    __slots__ = ("bodies", "header", "missing")

    def __init__(self) -> None:
        self.header = b""
        self.bodies: list[bytes] = []
        self.missing = 0

    @abstractmethod
    def end(self) -> None:
        """It is whole."""


class _Returned(_Begun):
    __slots__ = ("_confirms",)

    def __init__(self, confirms: Confirms) -> None:
        super().__init__()
        self._confirms = confirms

    def end(self) -> None:
        header = ContentHeader()
        header.unmarshal(self.header)
        self._confirms.returned(header.properties.message_id or "")


class _Delivered(_Begun):
    __slots__ = ("_channel", "_redelivered", "_routing_key", "_tag", "_taker")

    def __init__(
        self, taker: Taker, channel: Channel, *, tag: int, redelivered: bool, routing_key: bytes
    ) -> None:
        super().__init__()
        self._taker = taker
        self._channel = channel
        self._tag = tag
        self._redelivered = redelivered
        self._routing_key = routing_key

    def end(self) -> None:
        self._channel.note(self._tag)
        try:
            delivery = Delivery(
                self._channel,
                self._tag,
                redelivered=self._redelivered,
                routing_key=self._routing_key,
                header=self.header,
                body=self.bodies[0] if len(self.bodies) == 1 else b"".join(self.bodies),
            )
            self._taker(delivery)
        except Exception as error:  # else it would end the connection; unacknowledged, it comes again
            log.error("a delivery was not taken error=%s", type(error).__name__)
