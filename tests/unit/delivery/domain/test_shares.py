import heapq
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.domain.shares import LEAST_PREFETCH, Shares, prefetch

SLOTS = st.integers(1, 40)


class Lane:
    """A lane with so many slots; calls take as long as ``lasts`` says of their tenant."""

    def __init__(self, slots: int, lasts: Callable[[str], float] = lambda _: 1.0, **shares: int) -> None:
        self.shares = Shares()
        self.shares.change(shares)
        self.begun: Counter[str] = Counter()
        self._slots = slots
        self._lasts = lasts
        self._out: list[tuple[float, int, str]] = []
        self._now = 0.0

    def begin(self, *waiting: str) -> str:
        """Begin one call, as soon as there is a slot."""
        if len(self._out) == self._slots:
            self._now, _, ended = heapq.heappop(self._out)
            self.shares.release(ended)
        chosen = self.shares.take(waiting)
        self.begun[chosen] += 1
        ends = self._now + self._lasts(chosen)
        heapq.heappush(self._out, (ends, self.begun.total(), chosen))
        return chosen


@given(slots=SLOTS, big=st.integers(1, 10), small=st.integers(1, 10))
def test_two_backlogs_are_shared_in_proportion(slots: int, big: int, small: int) -> None:
    lane = Lane(slots, big=big, small=small)
    for _ in range(600):
        lane.begin("big", "small")
    assert lane.begun["big"] == pytest.approx(600 * big / (big + small), abs=slots / 2 + 2)


@settings(max_examples=20)
@given(slots=SLOTS, big=st.integers(1, 10), small=st.integers(1, 10), seed=st.integers())
def test_however_long_each_call_takes(slots: int, big: int, small: int, seed: int) -> None:
    random = Random(seed)
    lane = Lane(slots, lambda _: random.random(), big=big, small=small)
    for _ in range(2000):
        lane.begin("big", "small")
    assert lane.begun["big"] == pytest.approx(2000 * big / (big + small), rel=0.1, abs=slots)


@given(slots=SLOTS, tenants=st.integers(2, 50))
def test_many_tenants_get_equally_much(slots: int, tenants: int) -> None:
    lane = Lane(slots)
    names = [str(number) for number in range(tenants)]
    for _ in range(tenants * 20):
        lane.begin(*names)
    assert max(lane.begun.values()) - min(lane.begun.values()) <= 2


@given(slots=SLOTS, before=st.integers(0, 500), ours=st.integers(1, 50))
def test_a_tenant_that_comes_later_waits_for_no_more_than_its_own_calls(
    slots: int, before: int, ours: int
) -> None:
    lane = Lane(slots)
    for _ in range(before):
        lane.begin("big")
    overtaken_by = 0
    while lane.begun["small"] < ours:
        overtaken_by += lane.begin("big", "small") == "big"
    assert overtaken_by <= ours


@given(slots=SLOTS, alone=st.integers(1, 500))
def test_nobody_saves_up_calls_while_nothing_waits(slots: int, alone: int) -> None:
    lane = Lane(slots)
    lane.begin("small")
    for _ in range(alone):
        lane.begin("big")
    first = [lane.begin("big", "small") for _ in range(2 * slots)]
    assert first.count("small") <= slots + 1


@given(arrivals=st.lists(st.sets(st.sampled_from("abcde"), min_size=1), max_size=200), slots=SLOTS)
def test_a_free_slot_is_always_given_and_to_one_that_waits(arrivals: list[set[str]], slots: int) -> None:
    lane = Lane(slots, a=3, b=1000)
    for waiting in arrivals:
        assert lane.begin(*waiting) in waiting
    assert set(lane.shares.holders) <= set("abcde")


def test_calls_that_hang_take_no_more_than_their_tenants_share() -> None:
    lane = Lane(10, lambda tenant: 1000.0 if tenant == "hangs" else 1.0)
    for _ in range(500):
        lane.begin("hangs", "works")
    assert lane.begun["hangs"] <= 6


def test_a_share_that_is_changed_holds_from_then_on() -> None:
    lane = Lane(4, a=1, b=1)
    for _ in range(100):
        lane.begin("a", "b")
    lane.shares.change({"a": 9, "b": 1})
    lane.begun.clear()
    for _ in range(100):
        lane.begin("a", "b")
    assert lane.begun["a"] == pytest.approx(90, abs=4)


@pytest.mark.parametrize(
    ("share", "active", "expected"),
    [
        (1, 1, 28),  # alone
        (1, 2, 28),
        (1, 4, 14),
        (3, 4, 28),
        (1, 28, 2),
        (1, 1000, LEAST_PREFETCH),
    ],
)
def test_a_queues_prefetch_is_twice_what_its_tenant_gets_of_the_slots(
    share: int, active: int, expected: int
) -> None:
    assert prefetch(slots=28, share=share, active=active) == expected


@given(shares=st.lists(st.integers(1, 1000), min_size=1, max_size=60), slots=SLOTS)
def test_what_all_hold_together_fills_the_slots_and_begins_soon(shares: list[int], slots: int) -> None:
    held = [prefetch(slots=slots, share=share, active=sum(shares)) for share in shares]
    assert sum(held) >= slots
    assert sum(held) <= 2 * slots + (LEAST_PREFETCH + 1) * len(shares)
