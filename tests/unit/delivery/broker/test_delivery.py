"""Verdicts on what a channel delivered: each message gets its own, in few frames."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame

from delivery.broker.delivery import Channel
from tests.unit.delivery.broker.test_sifting import Writer

NUMBER = 5


def frames_in(written: bytes) -> list[commands.Basic.Ack | commands.Basic.Nack]:
    found = []
    while written:
        size, number, method = frame.unmarshal(written)
        assert number == NUMBER
        assert isinstance(method, (commands.Basic.Ack, commands.Basic.Nack))
        found.append(method)
        written = written[size:]
    return found


class Broker:
    """What RabbitMQ makes of the verdicts: a tag that is not open, or no more, closes the channel."""

    def __init__(self, tags: Iterable[int]) -> None:
        self.open = list(tags)
        self.acknowledged: set[int] = set()
        self.given_back: set[int] = set()

    def hear(self, written: bytes) -> None:
        for verdict in frames_in(written):
            tag = verdict.delivery_tag
            assert tag in self.open
            settled = [each for each in self.open if each == tag or (verdict.multiple and each < tag)]
            is_ack = isinstance(verdict, commands.Basic.Ack)
            (self.acknowledged if is_ack else self.given_back).update(settled)
            assert isinstance(verdict, commands.Basic.Ack) or verdict.requeue
            self.open = [each for each in self.open if each not in settled]


@given(
    tags=st.sets(st.integers(1, 40)),
    verdicts=st.lists(st.tuples(st.sets(st.integers(1, 40)), st.booleans()), max_size=8),
)
def test_every_message_gets_its_verdict_and_no_other(
    tags: set[int], verdicts: list[tuple[set[int], bool]]
) -> None:
    writer = Writer()
    channel, broker = Channel(NUMBER, writer), Broker(sorted(tags))
    for tag in sorted(tags):
        channel.note(tag)
    acknowledged: set[int] = set()
    given_back: set[int] = set()
    for given_tags, is_ack in verdicts:
        new = (given_tags & tags) - acknowledged - given_back
        if is_ack:
            channel.acknowledge(given_tags)
            acknowledged |= new
        else:
            channel.give_back(given_tags)
            given_back |= new
        broker.hear(writer.written)
        writer.written = b""
        assert (broker.acknowledged, broker.given_back) == (acknowledged, given_back)


def test_all_that_was_delivered_until_then_is_one_frame() -> None:
    writer = Writer()
    channel = Channel(NUMBER, writer)
    for tag in range(1, 101):
        channel.note(tag)
    channel.acknowledge(range(1, 100))
    channel.acknowledge([100])
    assert writer.written == b"".join(
        frame.marshal(commands.Basic.Ack(tag, True), NUMBER) for tag in (99, 100)
    )


def test_over_what_others_were_given_no_verdict_reaches() -> None:
    writer = Writer()
    channel = Channel(NUMBER, writer)
    for tag in (1, 3, 4):
        channel.note(tag)
    channel.share()
    channel.acknowledge([1, 3])
    channel.acknowledge([4])
    assert [(ack.delivery_tag, ack.multiple) for ack in frames_in(writer.written)] == [
        (1, False),
        (3, False),
        (4, False),
    ]


def test_what_was_given_back_is_given_back_to_its_queue() -> None:
    writer = Writer()
    channel = Channel(NUMBER, writer)
    channel.note(1)
    channel.give_back([1])
    channel.give_back([1])
    assert writer.written == frame.marshal(commands.Basic.Nack(1, False, True), NUMBER)
