import asyncio
import itertools
import json
from collections.abc import Iterator

import aio_pika.exceptions
import pytest
from pamqp import commands, frame

from consumers.settlement import Fate, acknowledge, fate_of, give_back, refuse, until_store_answers
from delivery.broker.delivery import Channel, Delivery
from delivery.domain import errors
from delivery.use_cases.messages import Verdict
from tests.unit.consumers.fakes import Incoming, Publisher, incoming
from tests.unit.delivery.broker.test_sifting import Writer


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (errors.InvalidRequest("x"), Fate.REFUSE),
        (errors.RequestTooLarge("x"), Fate.REFUSE),
        (errors.StoreUnavailable("x"), Fate.WAIT),
        (errors.StoreOutcomeUnknown("x"), Fate.WAIT),
        (errors.UnknownEmail("x"), Fate.REQUEUE),
        (errors.PostroomError("x"), Fate.REQUEUE),
        (RuntimeError("x"), Fate.REQUEUE),
        (ValueError("x"), Fate.REQUEUE),
        (json.JSONDecodeError("x", "", 0), Fate.REQUEUE),
        (KeyError("x"), Fate.REQUEUE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_what_becomes_of_a_message_whose_handling_failed(error: Exception, fate: Fate) -> None:
    assert fate_of(error) is fate


# The store


def test_a_call_to_a_store_that_answers_is_made_once() -> None:
    calls = itertools.count(1)
    assert asyncio.run(until_store_answers(lambda: next(calls))) == 1


@pytest.mark.parametrize("away", [errors.StoreUnavailable("x"), errors.StoreOutcomeUnknown("x")])
def test_a_call_is_repeated_until_the_store_answers(away: Exception) -> None:
    answers: Iterator[Exception | str] = iter([away, "done"])

    def call() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert asyncio.run(until_store_answers(call)) == "done"


@pytest.mark.parametrize("error", [errors.InvalidRequest("x"), errors.UnknownEmail("x"), KeyError("x")])
def test_any_other_error_of_a_call_is_the_callers(error: Exception) -> None:
    def call() -> None:
        raise error

    with pytest.raises(type(error)):
        asyncio.run(until_store_answers(call))


# Verdicts


def test_messages_are_acknowledged_or_given_back() -> None:
    taken, returned = [Incoming(), Incoming()], [Incoming()]
    asyncio.run(acknowledge(map(incoming, taken)))
    asyncio.run(give_back(map(incoming, returned)))
    assert [message.verdicts for message in taken] == [["ack"], ["ack"]]
    assert returned[0].verdicts == ["nack"]


@pytest.mark.parametrize(
    "error",
    [
        aio_pika.exceptions.ChannelInvalidStateError("gone"),
        aio_pika.exceptions.AMQPConnectionError("gone"),
        ConnectionResetError(),
        RuntimeError("closed"),
        TimeoutError(),
        asyncio.CancelledError("closed by the library, not by us"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_verdict_on_a_lost_connection_spoils_no_other(error: BaseException) -> None:
    lost, other = Incoming(error=error), Incoming()
    asyncio.run(acknowledge(map(incoming, [lost, other])))
    assert other.verdicts == ["ack"]


# Refusals


def test_a_refused_message_is_kept_with_its_reason_before_it_is_acknowledged() -> None:
    publisher = Publisher()
    message = Incoming(body=b"\xff garbage", content_type="text/plain", reply_to="reply.shop.1", priority=2)
    asyncio.run(
        refuse(incoming(message), queue="email.ingest", reason="body is not JSON", publisher=publisher)
    )
    (kept,) = publisher.messages
    assert (kept.exchange, kept.routing_key, kept.mandatory) == ("email", "rejected", True)
    assert (kept.body, kept.content_type, kept.correlation_id) == (b"\xff garbage", "text/plain", "c")
    assert kept.headers["reason"] == "body is not JSON"
    assert kept.headers["user_id"] == "shop"
    assert kept.headers["message_id"] == "1"
    assert kept.headers["routing_key"] == "bulk.shop"
    assert kept.headers["reply_to"] == "reply.shop.1"
    assert kept.priority == 2
    assert message.verdicts == ["ack"]


def test_a_refused_message_carries_no_header_of_the_brokers() -> None:
    publisher = Publisher()
    headers = {"x-death": "", "X-Delay": 1, "CC": "email.dead", "BCC": "email.dead", "trace": "1"}
    message = Incoming(headers=headers)
    asyncio.run(refuse(incoming(message), queue="email.ingest", reason="x", publisher=publisher))
    kept = publisher.messages[0].headers
    assert not {"x-death", "X-Delay", "CC", "BCC"} & kept.keys()
    assert kept["trace"] == "1"


def test_what_the_caller_wrote_cant_make_a_refused_message_too_large_to_keep_or_tell_another_reason() -> None:
    publisher = Publisher()
    headers = {"reason": "mine", "long": "x" * 100_000, "table": {}, **{f"h{n}": n for n in range(1000)}}
    message = Incoming(headers=headers)
    asyncio.run(refuse(incoming(message), queue="email.ingest", reason="x", publisher=publisher))
    kept = publisher.messages[0].headers
    assert kept["reason"] == "x"
    assert len(kept) < 50
    assert not {"long", "table"} & kept.keys()


def test_a_message_without_properties_can_be_refused_too() -> None:
    publisher = Publisher()
    bare = Incoming(routing_key=None, user_id=None, message_id=None, content_type=None, correlation_id=None)
    asyncio.run(
        refuse(incoming(bare), queue="email.ingest", reason="missing user_id property", publisher=publisher)
    )
    assert publisher.messages[0].content_type == "application/octet-stream"
    assert bare.verdicts == ["ack"]


@pytest.mark.parametrize(
    ("key", "properties"),
    [
        (b"bulk.shop", b"\x88\x00\x02\xff\xfe\x03"),
        (b"bulk.shop", b"\x28\x00\x00\x00\x00\x04\x01a?\x00\x03"),
        (b"bulk.\xff", b"\x08\x00\x03"),
    ],
    ids=["content type", "headers", "routing key"],
)
def test_a_message_whose_properties_cant_be_read_can_be_refused_too(key: bytes, properties: bytes) -> None:
    """AMQP asks for no encoding, and whoever moves a message by hand asks for none either."""
    publisher, writer = Publisher(), Writer()
    header = (60).to_bytes(2) + bytes(2) + (1).to_bytes(8) + properties
    channel = Channel(1, writer)
    channel.note(7)
    message = Delivery(channel, 7, redelivered=False, routing_key=key, header=header, body=b"x")
    asyncio.run(refuse(message, queue="email.requeue", reason="not an email", publisher=publisher))
    (kept,) = publisher.messages
    assert (kept.exchange, kept.routing_key, kept.mandatory) == ("email", "rejected", True)
    assert (kept.body, kept.headers["reason"], kept.priority) == (b"x", "not an email", 3)
    assert writer.written == frame.marshal(commands.Basic.Ack(7, True), 1)


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.RETURNED, Verdict.UNKNOWN])
def test_what_cant_be_kept_goes_back_to_its_queue(verdict: Verdict) -> None:
    message = Incoming()
    asyncio.run(refuse(incoming(message), queue="email.ingest", reason="x", publisher=Publisher(verdict)))
    assert message.verdicts == ["nack"]


def test_the_log_of_a_refusal_holds_nothing_that_the_caller_wrote(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        reason = "unknown field 'ann@example.com'"
        message = Incoming(routing_key="bulk.ann@example.com\nERROR forged")
        asyncio.run(refuse(incoming(message), queue="email.ingest", reason=reason, publisher=Publisher()))
    assert "refused" in caplog.text
    assert "forged" not in caplog.text
    assert "ann@example.com" not in caplog.text
