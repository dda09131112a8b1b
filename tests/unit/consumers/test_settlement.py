import asyncio
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import aio_pika.exceptions
import pytest
from aio_pika.abc import AbstractIncomingMessage

from consumers.settlement import Fate, acknowledge, fate_of, give_back, refuse, until_store_answers
from delivery.domain import errors
from delivery.use_cases.messages import Outgoing, Verdict


@dataclass
class Incoming:
    """A delivered message that remembers what became of it."""

    body: bytes = b"{}"
    routing_key: str | None = "bulk.shop"
    user_id: str | None = "shop"
    message_id: str | None = "1"
    content_type: str | None = "application/json"
    correlation_id: str | None = "c"
    headers: dict[str, Any] = field(default_factory=lambda: {"x-death": [], "trace": "1"})
    error: BaseException | None = None
    verdicts: list[str] = field(default_factory=list)

    async def ack(self) -> None:
        self._give("ack")

    async def nack(self) -> None:
        self._give("nack")

    def _give(self, verdict: str) -> None:
        if self.error is not None:
            raise self.error
        self.verdicts.append(verdict)


class Publisher:
    def __init__(self, verdict: Verdict = Verdict.CONFIRMED) -> None:
        self.verdict = verdict
        self.messages: list[Outgoing] = []

    async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
        self.messages += messages
        return [self.verdict] * len(messages)


def _message(incoming: Incoming) -> AbstractIncomingMessage:
    return cast(AbstractIncomingMessage, incoming)


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (errors.InvalidRequest("x"), Fate.REFUSE),
        (errors.RequestTooLarge("x"), Fate.REFUSE),
        (ValueError("x"), Fate.REFUSE),
        (json.JSONDecodeError("x", "", 0), Fate.REFUSE),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "x"), Fate.REFUSE),
        (errors.StoreUnavailable("x"), Fate.WAIT),
        (errors.StoreOutcomeUnknown("x"), Fate.WAIT),
        (errors.UnknownEmail("x"), Fate.REQUEUE),
        (errors.PostroomError("x"), Fate.REQUEUE),
        (RuntimeError("x"), Fate.REQUEUE),
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
    asyncio.run(acknowledge(map(_message, taken)))
    asyncio.run(give_back(map(_message, returned)))
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
    asyncio.run(acknowledge(map(_message, [lost, other])))
    assert other.verdicts == ["ack"]


# Refusals


def test_a_refused_message_is_kept_with_its_reason_before_it_is_acknowledged() -> None:
    publisher, message = Publisher(), Incoming(body=b"\xff garbage", content_type="text/plain")
    asyncio.run(refuse(_message(message), reason="body is not JSON", publisher=publisher))
    (kept,) = publisher.messages
    assert (kept.exchange, kept.routing_key, kept.mandatory) == ("email", "rejected", True)
    assert (kept.body, kept.content_type, kept.correlation_id) == (b"\xff garbage", "text/plain", "c")
    assert kept.headers["reason"] == "body is not JSON"
    assert kept.headers["user_id"] == "shop"
    assert kept.headers["message_id"] == "1"
    assert kept.headers["routing_key"] == "bulk.shop"
    assert message.verdicts == ["ack"]


def test_a_refused_message_carries_no_header_of_the_brokers() -> None:
    publisher = Publisher()
    asyncio.run(refuse(_message(Incoming()), reason="x", publisher=publisher))
    assert not [name for name in publisher.messages[0].headers if name.startswith("x-")]


def test_a_message_without_properties_can_be_refused_too() -> None:
    publisher = Publisher()
    bare = Incoming(routing_key=None, user_id=None, message_id=None, content_type=None, correlation_id=None)
    asyncio.run(refuse(_message(bare), reason="missing user_id property", publisher=publisher))
    assert publisher.messages[0].content_type == "application/octet-stream"
    assert bare.verdicts == ["ack"]


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.UNKNOWN])
def test_what_cant_be_kept_goes_back_to_its_queue(verdict: Verdict) -> None:
    message = Incoming()
    asyncio.run(refuse(_message(message), reason="x", publisher=Publisher(verdict)))
    assert message.verdicts == ["nack"]


def test_the_log_of_a_refusal_holds_nothing_that_the_caller_wrote(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        reason = "unknown field 'ann@example.com'"
        asyncio.run(refuse(_message(Incoming()), reason=reason, publisher=Publisher()))
    assert "refused" in caplog.text
    assert "ann@example.com" not in caplog.text
