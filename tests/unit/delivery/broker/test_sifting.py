"""Bytes as the broker sends them, cut anywhere: deliveries are taken out, all else passes as it came."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from delivery.broker.delivery import Delivery
from delivery.broker.sifting import HEARTBEAT, HEARTBEAT_EVERY, Sieve, SiftedReader, WatchedWriter

OURS, OTHERS = "ours", "others"
TIMES = st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
SHORT = st.none() | st.text(min_size=1, max_size=20)


@dataclass
class Writer:
    written: bytes = b""
    is_closed: bool = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed


@dataclass
class Sifted:
    """A sieve that takes what is for OURS."""

    writer: Writer = field(default_factory=Writer)
    taken: list[Delivery] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sieve = Sieve({OURS.encode(): self.taken.append}, self.writer)

    def feed(self, data: bytes, *, now: float = 0.0) -> None:
        self.sieve.feed(data, now=now)

    @property
    def passed(self) -> bytes:
        return bytes(self.sieve.passed)


def delivered(
    number: int,
    tag: int,
    body: bytes,
    *,
    consumer: str = OURS,
    properties: commands.Basic.Properties | None = None,
    redelivered: bool = False,
    frame_size: int = 20,
) -> list[bytes]:
    """The frames of one delivery."""
    method = commands.Basic.Deliver(consumer, tag, redelivered, "exchange", f"key.{tag}")
    bodies = [ContentBody(body[at : at + frame_size]) for at in range(0, len(body), frame_size)]
    frames: list[commands.Basic.Deliver | ContentHeader | ContentBody] = [
        method,
        ContentHeader(0, len(body), properties or commands.Basic.Properties()),
        *bodies,
    ]
    return [frame.marshal(each, number) for each in frames]


def others(number: int) -> list[bytes]:
    """Frames that are no deliveries, as well as a delivery to somebody else."""
    return [
        frame.marshal(Heartbeat(), 0),
        frame.marshal(commands.Basic.Ack(7, True), number),
        *delivered(number, 3, b"for others", consumer=OTHERS),
        frame.marshal(commands.Queue.DeclareOk("q", 1, 0), number),
    ]


@given(
    messages=st.lists(
        st.tuples(st.integers(1, 3), st.binary(max_size=70), st.booleans(), st.booleans()), max_size=8
    ),
    cuts=st.lists(st.integers(0, 4000), max_size=12),
)
def test_however_the_bytes_are_cut(messages: list[tuple[int, bytes, bool, bool]], cuts: list[int]) -> None:
    stream, theirs, expected = b"", b"", []
    for tag, (number, body, redelivered, is_between) in enumerate(messages, start=1):
        between = b"".join(others(number)) if is_between else b""
        stream += b"".join(delivered(number, tag, body, redelivered=redelivered)) + between
        theirs += between
        expected.append((tag, body, redelivered, f"key.{tag}"))
    sifted = Sifted()
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, stop in pairwise(places):
        sifted.feed(stream[start:stop])
    seen = [(item.tag, item.body, item.redelivered, item.routing_key) for item in sifted.taken]
    assert seen == expected
    assert sifted.passed.replace(HEARTBEAT, b"") == theirs.replace(HEARTBEAT, b"")


@given(
    st.builds(
        commands.Basic.Properties,
        content_type=SHORT,
        content_encoding=SHORT,
        headers=st.dictionaries(st.text(min_size=1, max_size=9), st.integers(0, 9) | SHORT, max_size=3),
        delivery_mode=st.sampled_from([None, 1, 2]),
        priority=st.none() | st.integers(0, 9),
        correlation_id=SHORT,
        reply_to=SHORT,
        expiration=st.sampled_from([None, "60000"]),
        message_id=SHORT,
        timestamp=st.none() | TIMES,
        user_id=SHORT,
    )
)
def test_the_properties_are_those_that_were_sent(sent: commands.Basic.Properties) -> None:
    sifted = Sifted()
    sifted.feed(b"".join(delivered(1, 1, b"{}", properties=sent)))
    (got,) = sifted.taken
    assert (got.priority, got.timestamp) == (sent.priority, sent.timestamp)
    assert got.headers == sent.headers
    for name in ("content_type", "correlation_id", "reply_to", "message_id", "user_id"):
        assert getattr(got, name) == getattr(sent, name)


def test_frames_of_channels_may_alternate() -> None:
    sifted = Sifted()
    ones, twos = delivered(1, 1, b"a" * 50), delivered(2, 1, b"b" * 50)
    sifted.feed(b"".join(part for pair in zip(ones, twos, strict=True) for part in pair))
    assert [item.body for item in sifted.taken] == [b"a" * 50, b"b" * 50]


def test_a_connection_that_gets_deliveries_only_is_not_silent_to_aiormq() -> None:
    sifted = Sifted()
    for number in range(9):
        sifted.feed(b"".join(delivered(1, number, b"{}")), now=number * HEARTBEAT_EVERY / 4)
    assert sifted.passed == HEARTBEAT * 3


def test_what_is_no_amqp_passes_to_whoever_can_say_what_it_is() -> None:
    sifted = Sifted()
    for data in (b"AMQP\x00\x01", b"\x00\x00", b"and on"):
        sifted.feed(data)
    assert sifted.passed == b"AMQP\x00\x01\x00\x00and on"


def test_a_taker_that_fails_harms_no_other_delivery() -> None:
    taken: list[int] = []

    def take(item: Delivery) -> None:
        if item.tag == 1:
            raise ValueError("x")
        taken.append(item.tag)

    sieve = Sieve({OURS.encode(): take}, Writer())
    sieve.feed(b"".join(delivered(1, 1, b"{}") + delivered(1, 2, b"{}")), now=0)
    assert taken == [2]


def test_a_channel_that_is_opened_anew_gets_no_verdicts_of_the_one_before() -> None:
    sifted = Sifted()
    sifted.feed(b"".join(delivered(1, 1, b"a")))
    sifted.feed(frame.marshal(commands.Channel.Close(404, "x", 0, 0), 1))
    sifted.feed(frame.marshal(commands.Channel.OpenOk(), 1) + b"".join(delivered(1, 1, b"b")))
    before, after = sifted.taken
    before.channel.acknowledge([before.tag])
    assert sifted.writer.written == b""
    after.channel.acknowledge([after.tag])
    assert sifted.writer.written == frame.marshal(commands.Basic.Ack(1, True), 1)


def test_a_delivery_that_its_channels_close_cut_off_is_none() -> None:
    sifted = Sifted()
    cut_off = delivered(1, 1, b"a")[:2]
    sifted.feed(b"".join(cut_off) + frame.marshal(commands.Channel.Close(404, "x", 0, 0), 1))
    sifted.feed(frame.marshal(commands.Channel.OpenOk(), 1) + b"".join(delivered(1, 1, b"b")))
    assert [item.body for item in sifted.taken] == [b"b"]


def test_after_the_connections_end_nothing_is_written() -> None:
    sifted = Sifted()
    sifted.feed(b"".join(delivered(1, 1, b"a") + delivered(1, 2, b"b")))
    first, second = sifted.taken
    sifted.writer.is_closed = True
    first.channel.acknowledge([first.tag])
    sifted.writer.is_closed = False
    sifted.sieve.close()
    second.channel.give_back([second.tag])
    assert sifted.writer.written == b""


@pytest.mark.parametrize(
    "of_others",
    [
        delivered(1, 1, b"for others", consumer=OTHERS),
        [
            frame.marshal(commands.Basic.GetOk(1, False, "exchange", "key", 0), 1),
            *delivered(1, 1, b"fetched")[1:],
        ],
    ],
    ids=["delivered", "fetched"],
)
def test_no_verdict_reaches_over_what_others_got(of_others: list[bytes]) -> None:
    sifted = Sifted()
    sifted.feed(b"".join([*of_others, *delivered(1, 2, b"{}")]))
    (item,) = sifted.taken
    item.channel.acknowledge([item.tag])
    assert sifted.writer.written == frame.marshal(commands.Basic.Ack(2, False), 1)
    assert sifted.passed.replace(HEARTBEAT, b"") == b"".join(of_others)


def test_nothing_follows_the_close_of_a_channel_by_aiormq() -> None:
    sifted = Sifted()
    writer = WatchedWriter(cast(asyncio.StreamWriter, sifted.writer), sifted.sieve)
    sifted.feed(frame.marshal(commands.Channel.OpenOk(), 1) + frame.marshal(commands.Channel.OpenOk(), 2))
    sifted.feed(b"".join(delivered(1, 1, b"a") + delivered(2, 1, b"b")))
    close = frame.marshal(commands.Channel.Close(504, "RPC timeout", 0, 0), 1)
    writer.write(close)
    sifted.feed(b"".join(delivered(1, 2, b"still")))
    before, other, still = sifted.taken
    for item in (before, still):
        item.channel.acknowledge([item.tag])
        item.channel.give_back([item.tag])
    assert sifted.writer.written == close
    other.channel.acknowledge([other.tag])
    assert sifted.writer.written == close + frame.marshal(commands.Basic.Ack(1, True), 2)


def test_after_its_close_by_aiormq_a_channel_that_is_opened_anew_gets_verdicts() -> None:
    sifted = Sifted()
    writer = WatchedWriter(cast(asyncio.StreamWriter, sifted.writer), sifted.sieve)
    sifted.feed(frame.marshal(commands.Channel.OpenOk(), 1))
    writer.write(frame.marshal(commands.Channel.Close(504, "RPC timeout", 0, 0), 1))
    sifted.writer.written = b""
    sifted.feed(frame.marshal(commands.Channel.CloseOk(), 1) + frame.marshal(commands.Channel.OpenOk(), 1))
    sifted.feed(b"".join(delivered(1, 1, b"{}")))
    (item,) = sifted.taken
    item.channel.acknowledge([item.tag])
    assert sifted.writer.written == frame.marshal(commands.Basic.Ack(1, True), 1)


def test_whatever_else_aiormq_writes_closes_nothing() -> None:
    sifted = Sifted()
    writer = WatchedWriter(cast(asyncio.StreamWriter, sifted.writer), sifted.sieve)
    sifted.feed(frame.marshal(commands.Channel.OpenOk(), 1) + b"".join(delivered(1, 1, b"{}")))
    words = [
        b"AMQP\x00\x00\x09\x01",
        HEARTBEAT,
        frame.marshal(commands.Channel.CloseOk(), 2),
        frame.marshal(commands.Channel.Close(200, "bye", 0, 0), 2),
    ]
    for word in words:
        writer.write(word)
    (item,) = sifted.taken
    item.channel.acknowledge([item.tag])
    words.append(frame.marshal(commands.Basic.Ack(1, True), 1))
    assert sifted.writer.written == b"".join(words)


def test_a_delivery_that_cant_be_understood_harms_no_other() -> None:
    sifted = Sifted()
    method, _, body = delivered(1, 1, b"{}")
    cut_short = (60).to_bytes(2) + bytes(2) + (2).to_bytes(8) + b"\x88"  # two bytes of flags, had it all
    header = b"\x02\x00\x01" + len(cut_short).to_bytes(4) + cut_short + b"\xce"
    sifted.feed(b"".join([method, header, body, *delivered(1, 2, b"good")]))
    (item,) = sifted.taken
    item.channel.acknowledge([item.tag])
    assert sifted.writer.written == frame.marshal(commands.Basic.Ack(2, False), 1)


def test_nobody_reads_past_the_sieve() -> None:
    async def run() -> bytes:
        source = asyncio.StreamReader()
        source.feed_data(b"".join(delivered(1, 1, b"{}")))
        return await SiftedReader(source, Sifted().sieve).read()

    with pytest.raises(RuntimeError, match="another way"):
        asyncio.run(run())
