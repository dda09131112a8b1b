"""Where nobody subscribes next to nothing is published, and who subscribes misses nothing by that."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from itertools import chain, count, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.broker.announcer import WORTH_ASKING, Announcer
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.use_cases.messages import Outgoing, Verdict
from tests.unit.delivery.broker.announcing import Publisher, announcing_on, delivered


class Exchange(Publisher):
    """Returns what asks when nobody is bound to its lane. bound: the lanes that somebody is bound to.

    meanwhile: called at the next publish, when its verdicts stand and nobody has heard them.
    """

    def __init__(self, bound: AbstractSet[Lane] = frozenset()) -> None:
        super().__init__()
        self.bound = bound
        self.meanwhile: Callable[[], None] = _nothing
        self.heard: list[Outgoing] = []

    async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
        await super().publish(messages)
        self.heard += [message for message in messages if _lane(message) in self.bound]
        verdicts = [
            Verdict.RETURNED if message.mandatory and _lane(message) not in self.bound else Verdict.CONFIRMED
            for message in messages
        ]
        meanwhile, self.meanwhile = self.meanwhile, _nothing
        meanwhile()
        return verdicts


def _nothing() -> None:
    pass


def _lane(message: Outgoing) -> Lane:
    return Lane(message.routing_key.split(".")[1])


def _numbered(lanes: Iterable[Lane], *, start: int = 0) -> list[Happening]:
    """One email after the other, each in its lane."""
    return [replace(delivered(lane=lane), email_id=str(number)) for number, lane in enumerate(lanes, start)]


def _numbers(messages: Iterable[Outgoing]) -> list[int]:
    return [int(json.loads(message.body)["email_id"]) for message in messages]


def _sizes(publisher: Publisher) -> list[int]:
    return [len(batch) for batch in publisher.batches]


def _tell_each(publisher: Publisher, *batches: Sequence[Happening]) -> None:
    """Each when the one before is told."""

    async def tell() -> None:
        async with announcing_on(publisher) as announcer:
            for batch in batches:
                announcer.tell(batch)
                await announcer.drained()

    asyncio.run(tell())


def test_of_what_nobody_hears_one_of_a_kind_is_published_to_ask_again() -> None:
    exchange = Exchange({Lane.CRITICAL})
    many = [Lane.BULK, Lane.CRITICAL] * 50
    _tell_each(exchange, *[_numbered(many)] * 3)
    assert _sizes(exchange) == [100, 51, 51]
    assert _numbers(exchange.batches[2]) == sorted([0, *range(1, 100, 2)])
    assert [_lane(message) for batch in exchange.batches for message in batch if message.mandatory] == [
        Lane.BULK,
        Lane.CRITICAL,
    ] * 3


def test_a_few_are_told_without_asking_whether_anybody_hears() -> None:
    exchange = Exchange()
    many, few = [Lane.BULK] * WORTH_ASKING, [Lane.BULK] * (WORTH_ASKING - 1)
    _tell_each(exchange, *[_numbered(lanes) for lanes in (few, many, many, few)])
    assert _sizes(exchange) == [len(few), len(many), 1, len(few)]
    assert [sum(message.mandatory for message in batch) for batch in exchange.batches] == [0, 1, 1, 0]


@pytest.mark.parametrize("verdict", [Verdict.CONFIRMED, Verdict.REFUSED, Verdict.UNKNOWN])
def test_only_what_is_returned_says_that_nobody_hears(verdict: Verdict) -> None:
    """A queue that is full refuses, and another may have it; what is unknown may have been heard."""

    class Answering(Publisher):
        async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
            await super().publish(messages)
            return [next(verdicts), *[Verdict.UNKNOWN] * (len(messages) - 1)]

    verdicts = chain([Verdict.RETURNED], repeat(verdict))
    publisher = Answering()
    _tell_each(publisher, *[_numbered([Lane.BULK] * 10, start=start) for start in (0, 10, 20)])
    assert _numbers(publisher.told) == list(range(30))
    assert _sizes(publisher) == [10, 1, 9, 10]


LANES = st.sets(st.sampled_from(Lane))
HAPPENING_IN = st.lists(st.sampled_from(Lane), max_size=20)


@given(st.lists(st.tuples(LANES, HAPPENING_IN, LANES, HAPPENING_IN), max_size=8))
def test_who_is_bound_hears_all_that_happens_from_then_on_in_the_order_of_its_key(
    rounds: list[tuple[set[Lane], list[Lane], set[Lane], list[Lane]]],
) -> None:
    """rounds: the lanes that somebody is bound to, those of what happens then; and both again, for while the
    first of it is published."""
    exchange, numbers = Exchange(), count()
    must: list[tuple[Lane, int]] = []

    def happens(announcer: Announcer, lanes: list[Lane], *, bound: set[Lane], later_bound: set[Lane]) -> None:
        exchange.bound = bound
        numbered = [(lane, next(numbers)) for lane in lanes]
        must.extend((lane, number) for lane, number in numbered if lane in bound & later_bound)
        announcer.tell([replace(delivered(lane=lane), email_id=str(number)) for lane, number in numbered])

    async def tell() -> None:
        async with announcing_on(exchange) as announcer:
            for bound, lanes, then_bound, then_lanes in rounds:
                exchange.meanwhile = partial(
                    happens, announcer, then_lanes, bound=then_bound, later_bound=then_bound
                )
                happens(announcer, lanes, bound=bound, later_bound=then_bound)
                await announcer.drained()

    asyncio.run(tell())
    heard = [
        (_lane(message), number)
        for message, number in zip(exchange.heard, _numbers(exchange.heard), strict=True)
    ]
    assert set(heard) >= set(must)
    for lane in Lane:
        of_lane = [number for each, number in heard if each is lane]
        assert of_lane == sorted(set(of_lane))
