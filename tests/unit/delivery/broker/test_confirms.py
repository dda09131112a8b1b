"""What the broker says of messages, in whatever order, against the verdicts of each one by itself."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from delivery.broker.confirms import ConfirmingChannel
from delivery.broker.sifting import Sieve
from delivery.use_cases.messages import Outgoing, Verdict

C, R, U = Verdict.CONFIRMED, Verdict.REFUSED, Verdict.UNKNOWN
RETURNED = Verdict.RETURNED
PLAIN = Outgoing(exchange="email", routing_key="bulk", body=b"{}")
UNFIT = Outgoing(exchange="email", routing_key="x" * 256, body=b"{}")


class Broker:
    """Reads what is published on channel 1, and says what it is told to."""

    def __init__(self) -> None:
        self.message_ids: list[str] = []
        self.sieve = Sieve({}, self)
        self.say(commands.Channel.OpenOk())

    def write(self, data: bytes) -> None:
        while data:
            length, _, part = frame.unmarshal(data)
            data = data[length:]
            if isinstance(part, ContentHeader):
                self.message_ids.append(part.properties.message_id or "")

    def is_closing(self) -> bool:
        return False

    def say(self, *frames: frame.FrameTypes) -> None:
        self.sieve.feed(b"".join(frame.marshal(each, 1) for each in frames), now=0)

    def send_back(self, tag: int) -> None:
        properties = commands.Basic.Properties(message_id=self.message_ids[tag - 1])
        self.say(
            commands.Basic.Return(312, "NO_ROUTE", "email", "nowhere"),
            ContentHeader(0, 2, properties),
            ContentBody(b"{}"),
        )

    def channel(self) -> ConfirmingChannel:
        return ConfirmingChannel(1, max_body=1000, sieve=self.sieve)


async def _publishing(
    channel: ConfirmingChannel, batches: Sequence[Sequence[Outgoing]]
) -> tuple[list[list[Verdict]], list["asyncio.Task[bool]"]]:
    """The batches, written and waiting."""
    verdicts = [[U] * len(batch) for batch in batches]
    tasks = [
        asyncio.create_task(channel.publish(batch, into))
        for batch, into in zip(batches, verdicts, strict=True)
    ]
    await asyncio.sleep(0)
    return verdicts, tasks


@given(
    batches=st.lists(st.lists(st.booleans(), min_size=1, max_size=6).filter(any), min_size=1, max_size=4),
    said=st.lists(st.tuples(st.integers(1, 24), st.booleans(), st.booleans()), max_size=30),
    returned=st.sets(st.integers(1, 24)),
)
def test_each_message_gets_the_first_that_is_said_of_it(
    batches: list[list[bool]], said: list[tuple[int, bool, bool]], returned: set[int]
) -> None:
    """batches: of messages that can be encoded, or can't."""
    fit = sum(map(sum, batches))
    model: dict[int, Verdict] = {tag: RETURNED for tag in returned if tag <= fit}
    open_tags = set(range(1, fit + 1))

    async def publish() -> list[list[Verdict]]:
        broker = Broker()
        verdicts, tasks = await _publishing(
            broker.channel(), [[PLAIN if is_fit else UNFIT for is_fit in batch] for batch in batches]
        )
        for tag in model.copy():
            broker.send_back(tag)
        for tag, is_ack, multiple in [*said, (fit, True, True)]:
            meant = {other for other in open_tags if other == tag or (multiple and other < tag)}
            broker.say((commands.Basic.Ack if is_ack else commands.Basic.Nack)(tag, multiple))
            for each in meant:
                model.setdefault(each, C if is_ack else R)
            open_tags.difference_update(meant)
            await asyncio.sleep(0)
        assert await asyncio.gather(*tasks) == [True] * len(batches)
        return verdicts

    got = asyncio.run(publish())
    tags = iter(range(1, fit + 1))
    assert got == [[model[next(tags)] if is_fit else R for is_fit in batch] for batch in batches]


def test_a_batch_waits_for_its_last_verdict() -> None:
    async def publish() -> None:
        broker = Broker()
        verdicts, tasks = await _publishing(broker.channel(), [[PLAIN] * 3])
        broker.say(commands.Basic.Ack(2, True))
        await asyncio.sleep(0)
        assert (verdicts, tasks[0].done()) == ([[C, C, U]], False)
        broker.say(commands.Basic.Nack(3, False))
        assert await tasks[0]
        assert verdicts == [[C, C, R]]

    asyncio.run(publish())


def test_nothing_is_published_behind_our_own_close_of_the_channel() -> None:
    async def publish() -> None:
        broker = Broker()
        channel = broker.channel()
        verdicts, tasks = await _publishing(channel, [[PLAIN]])
        broker.sieve.forget(1)
        with pytest.raises(ConnectionError):
            await tasks[0]
        assert verdicts == [[U]]
        with pytest.raises(ConnectionError):
            await channel.publish([PLAIN], [U])
        assert len(broker.message_ids) == 1

    asyncio.run(publish())


def test_the_channels_end_leaves_unknown_what_had_no_verdict_by_then() -> None:
    async def publish() -> None:
        broker = Broker()
        channel = broker.channel()
        verdicts, tasks = await _publishing(channel, [[PLAIN] * 3])
        broker.say(commands.Basic.Ack(1, False), commands.Channel.Close(404, "x", 0, 0))
        with pytest.raises(ConnectionError):
            await tasks[0]
        assert verdicts == [[C, U, U]]
        with pytest.raises(ConnectionError):
            await channel.publish([PLAIN], [U])
        with pytest.raises(ConnectionError):
            broker.channel()  # before it is open again
        broker.say(commands.Channel.OpenOk())
        verdicts, tasks = await _publishing(broker.channel(), [[PLAIN]])
        broker.say(commands.Basic.Ack(1, False))
        assert await tasks[0]
        assert verdicts == [[C]]

    asyncio.run(publish())


def test_what_comes_when_nobody_waits_any_more_changes_nothing() -> None:
    async def publish() -> None:
        broker = Broker()
        verdicts, tasks = await _publishing(broker.channel(), [[PLAIN] * 2, [PLAIN]])
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        broker.send_back(1)
        broker.say(commands.Basic.Ack(3, True))
        assert await tasks[1]
        assert verdicts == [[U, U], [C]]

    asyncio.run(publish())


def test_confirms_on_other_channels_are_aiormqs() -> None:
    sieve = Sieve({}, Broker())
    confirm = frame.marshal(commands.Basic.Ack(1, False), 2)
    sieve.feed(confirm, now=0)
    assert sieve.passed == confirm
