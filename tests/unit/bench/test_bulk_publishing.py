"""Messages that are made from one of them are those that each would be by itself."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from bench.comparison.bulk_publishing import Message, MessageOf, frames_of

TO = Basic.Publish(exchange="email", routing_key="bulk")
CHANNEL = 3


def text(email_id: str) -> Message:
    return b'{"id": "%b"}' % email_id.encode(), Basic.Properties(message_id=email_id, priority=1)


def nested(email_id: str) -> Message:
    properties = Basic.Properties(
        headers={"id": email_id, "args": f"('{email_id}',)"}, correlation_id=email_id
    )
    return b'[["%b"], {}]' % email_id.encode(), properties


def binary(email_id: str) -> Message:
    return UUID(email_id).bytes, Basic.Properties(message_id=email_id)


@pytest.mark.parametrize("message_of", [text, nested, binary])
@given(email_id=st.uuids().map(str))
def test_the_frames_say_what_the_message_does(message_of: MessageOf, email_id: str) -> None:
    written = frames_of(message_of, TO, CHANNEL)(email_id)
    read = []
    while written:
        length, channel, value = frame.unmarshal(written)
        assert channel == CHANNEL
        read.append(value)
        written = written[length:]
    publish, header, body = read
    expected_body, expected_properties = message_of(email_id)
    assert isinstance(publish, Basic.Publish)
    assert (publish.exchange, publish.routing_key) == (TO.exchange, TO.routing_key)
    assert isinstance(header, ContentHeader)
    assert (header.body_size, dict(header.properties)) == (len(expected_body), dict(expected_properties))
    assert isinstance(body, ContentBody)
    assert body.value == expected_body
