"""The frames of messages, against pamqp's own reading and writing of them."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.frame import FrameTypes, unmarshal
from pamqp.header import ContentHeader

from delivery.broker import frames
from delivery.broker.frames import Frames, number_of
from delivery.use_cases.messages import Outgoing

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MAX_BODY = 100
PLAIN = Outgoing(exchange="email", routing_key="bulk", body=b"{}", priority=1)

short = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
outgoing = st.builds(
    Outgoing,
    exchange=st.from_regex(r"[a-z0-9._-]{0,40}", fullmatch=True),
    routing_key=short,
    body=st.binary(max_size=3 * MAX_BODY),
    priority=st.integers(0, 255),
    headers=st.dictionaries(short, short | st.integers(-(2**31), 2**31 - 1), max_size=3),
    content_type=st.none() | short,
    correlation_id=st.none() | short,
    mandatory=st.booleans(),
)


def _read(raw: bytes, *, channel: int) -> Iterator[FrameTypes]:
    while raw:
        length, number, frame = unmarshal(raw)
        assert number == channel
        yield frame
        raw = raw[length:]


@given(message=outgoing, channel=st.integers(1, 2047))
@example(message=replace(PLAIN, body=b"x" * MAX_BODY), channel=1)
@example(message=replace(PLAIN, body=b"x" * (MAX_BODY + 1)), channel=1)
def test_what_is_marshalled_says_what_was_to_be_published_the_first_time_and_again(
    message: Outgoing, channel: int
) -> None:
    marshalling = Frames(channel, max_body=MAX_BODY)
    ids = set()
    for number, body in enumerate((message.body, message.body[1:], message.body * 2), start=2**40):
        raw = marshalling.marshal(replace(message, body=body), number=number, at=AT)
        publish, header, *bodies = _read(raw, channel=channel)

        assert isinstance(publish, commands.Basic.Publish)
        assert (publish.exchange, publish.routing_key) == (message.exchange, message.routing_key)
        assert (publish.mandatory, publish.immediate) == (message.mandatory, False)
        assert isinstance(header, ContentHeader)
        assert header.body_size == len(body)
        properties = header.properties
        assert properties.timestamp == AT
        assert properties.message_id is not None
        assert number_of(properties.message_id) == number
        ids.add(properties.message_id)
        assert (properties.delivery_mode, properties.priority) == (2, message.priority)
        assert (properties.headers or {}) == message.headers
        assert (properties.content_type or None) == (message.content_type or None)
        assert (properties.correlation_id or None) == (message.correlation_id or None)
        parts = [part.value for part in bodies if isinstance(part, ContentBody)]
        assert len(parts) == len(bodies)
        assert b"".join(parts) == body
        assert all(0 < len(part) <= MAX_BODY for part in parts)
    assert len(ids) == 3


def test_messages_of_two_channels_have_no_id_in_common() -> None:
    one, other = (Frames(1, max_body=MAX_BODY).marshal(PLAIN, number=1, at=AT) for _ in range(2))
    assert one != other


def test_more_kinds_than_are_remembered_are_marshalled_all_the_same() -> None:
    marshalling = Frames(1, max_body=MAX_BODY)
    for number in range(frames.MAX_KINDS + 2):
        message = replace(PLAIN, routing_key=str(number))
        raw = marshalling.marshal(message, number=1, at=AT)
        publish = next(_read(raw, channel=1))
        assert isinstance(publish, commands.Basic.Publish)
        assert publish.routing_key == str(number)


@pytest.mark.parametrize(
    "message",
    [replace(PLAIN, routing_key="x" * 256), replace(PLAIN, exchange="x" * 256), replace(PLAIN, priority=256)],
    ids=["key", "exchange", "priority"],
)
def test_what_amqp_has_no_room_for_is_an_error(message: Outgoing) -> None:
    marshalling = Frames(1, max_body=MAX_BODY)
    with pytest.raises((ValueError, TypeError, struct.error)):
        marshalling.marshal(message, number=1, at=AT)


def test_a_broker_that_limits_no_frame_gets_each_body_in_one() -> None:
    """aiormq takes a frame's own bytes off its greatest size, which is 0 then."""
    body = bytes(range(256)) * 1000
    raw = Frames(1, max_body=-8).marshal(replace(PLAIN, body=body), number=1, at=AT)
    _, header, *bodies = _read(raw, channel=1)
    assert isinstance(header, ContentHeader)
    assert header.body_size == len(body)
    assert [part.value for part in bodies if isinstance(part, ContentBody)] == [body]
