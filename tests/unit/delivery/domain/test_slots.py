import heapq
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.lanes import SHARING_LANES, Lane
from delivery.domain.slots import Slots

C, T, S, B = Lane.CRITICAL, Lane.TRANSACTIONAL, Lane.STANDARD, Lane.BULK
WEIGHTS = {C: 1, T: 6, S: 3, B: 1}
EVERY_LANE = list(Lane)


def _starts(
    slots: Slots,
    waiting: list[Lane],
    *,
    count: int,
    calls_take: dict[Lane, float] | None = None,
    seed: int = 1,
) -> list[Lane]:
    """The lanes of the next ``count`` starts while ``waiting`` never run dry; calls take random times."""
    chance = random.Random(seed)
    calls: list[tuple[float, int, Lane]] = []
    started: list[Lane] = []
    now = 0.0
    while len(started) < count:
        lane = slots.take(waiting)
        if lane is not None:
            mean = (calls_take or {}).get(lane, 1.0)
            heapq.heappush(calls, (now + chance.uniform(0.5, 1.5) * mean, len(started), lane))
            started.append(lane)
        else:
            now, _, lane = heapq.heappop(calls)
            slots.release(lane)
    for _, _, lane in calls:
        slots.release(lane)
    return started


def test_only_critical_may_use_the_reserved_slots() -> None:
    slots = Slots(total=8, reserved=3, weights=WEIGHTS)
    assert [slots.take([T, S, B]) for _ in range(6)].count(None) == 1
    assert [slots.take(EVERY_LANE) for _ in range(4)] == [C, C, C, None]
    assert slots.in_use == 8


def test_critical_may_use_every_slot_and_goes_first() -> None:
    slots = Slots(total=4, reserved=1, weights=WEIGHTS)
    assert [slots.take(EVERY_LANE) for _ in range(5)] == [C, C, C, C, None]


def test_a_released_slot_is_free_again() -> None:
    slots = Slots(total=1, reserved=0, weights=WEIGHTS)
    assert slots.take([B]) is B
    assert slots.take([B]) is None
    slots.release(B)
    assert slots.take([B]) is B


def test_a_lanes_largest_share_is_what_it_may_hold_at_once() -> None:
    slots = Slots(total=10, reserved=4, weights=WEIGHTS)
    assert [slots.largest_share(lane) for lane in Lane] == [10, 6, 6, 6]


def test_nothing_waiting_takes_no_slot() -> None:
    slots = Slots(total=2, reserved=0, weights=WEIGHTS)
    assert slots.take([]) is None
    assert slots.in_use == 0


@pytest.mark.parametrize("reserved", [-1, 4, 5])
def test_reserved_slots_must_be_fewer_than_all(reserved: int) -> None:
    with pytest.raises(ValueError, match="reserved"):
        Slots(total=4, reserved=reserved, weights=WEIGHTS)


@pytest.mark.parametrize("shared", [1, 2, 3, 4, 5, 7, 10, 28, 64])
def test_under_overload_every_lane_keeps_its_weight(shared: int) -> None:
    slots = Slots(total=shared + 2, reserved=2, weights=WEIGHTS)
    share = Counter(_starts(slots, [T, S, B], count=4000))
    for lane in SHARING_LANES:
        assert share[lane] / 4000 == pytest.approx(WEIGHTS[lane] / 10, rel=0.1)


@pytest.mark.parametrize("shared", [1, 2, 3, 8])
def test_no_lane_starves_however_small_its_weight(shared: int) -> None:
    slots = Slots(total=shared, reserved=0, weights={C: 1, T: 100, S: 100, B: 1})
    assert B in _starts(slots, [T, S, B], count=1000)


@pytest.mark.parametrize("lanes", [[B], [S, B], [T]])
def test_an_idle_lanes_share_is_used_by_the_others(lanes: list[Lane]) -> None:
    slots = Slots(total=10, reserved=2, weights=WEIGHTS)
    assert [slots.take(lanes) for _ in range(9)].count(None) == 1


def test_two_lanes_share_what_the_third_leaves_by_their_weights() -> None:
    share = Counter(_starts(Slots(total=3, reserved=0, weights=WEIGHTS), [T, S], count=3000))
    assert share[T] / share[S] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("shared", [1, 3, 8])
@pytest.mark.parametrize("scale", [1, 100])
def test_a_lane_that_was_idle_for_long_takes_no_more_than_its_weight_afterwards(
    shared: int, scale: int
) -> None:
    weights = {lane: weight * scale for lane, weight in WEIGHTS.items()}
    slots = Slots(total=shared, reserved=0, weights=weights)
    _starts(slots, [S, B], count=2000)
    share = Counter(_starts(slots, [T, S, B], count=100))
    assert share[T] <= 60 + 10
    assert share[B] >= 10 - 5


def test_a_lane_whose_calls_hang_holds_no_more_slots_than_its_weight_gives_it() -> None:
    """Bulk goes to a recipient that takes a hundred times as long: the others' capacity stays theirs."""
    slots = Slots(total=10, reserved=0, weights=WEIGHTS)
    share = Counter(_starts(slots, [T, S, B], count=3000, calls_take={B: 100.0}))
    assert share[T] / share[S] == pytest.approx(2, rel=0.1)
    assert share[T] + share[S] > 2500


@pytest.mark.parametrize(
    ("total", "reserved"), [(32, 4), (24, 3), (17, 3), (16, 2), (8, 1), (4, 1), (2, 1), (1, 0)]
)
def test_at_every_size_the_reserved_part_keeps_its_proportion_and_leaves_one(
    total: int, reserved: int
) -> None:
    slots = Slots(total=32, reserved=4, weights=WEIGHTS)
    slots.resize(total)
    assert len(_taken(slots, [T, S, B])) == total - reserved
    assert len(_taken(slots, [C])) == reserved


@pytest.mark.parametrize(
    ("total", "for_critical", "own"), [(4, 32, 4), (4, 6, 3), (4, 4, 1), (4, 0, 1), (1, 32, 4), (32, 32, 4)]
)
def test_criticals_part_is_larger_by_what_is_there_for_it_besides(
    total: int, for_critical: int, own: int
) -> None:
    slots = Slots(total=32, reserved=4, weights=WEIGHTS)
    slots.resize(total)
    shared = len(_taken(slots, [T, S, B]))
    slots.resize(total, for_critical=for_critical)
    assert slots.take([T, S, B]) is None
    assert len(_taken(slots, EVERY_LANE)) == own
    assert slots.in_use == shared + own


@pytest.mark.parametrize("total", [0, -1, 9])
def test_the_size_is_between_one_and_the_most(total: int) -> None:
    with pytest.raises(ValueError, match="number of slots"):
        Slots(total=8, reserved=1, weights=WEIGHTS).resize(total)


def test_more_slots_than_are_left_are_given_back_before_anything_starts_but_in_criticals_own_part() -> None:
    slots = Slots(total=32, reserved=4, weights=WEIGHTS)
    assert len(_taken(slots, [B])) == 28
    slots.resize(8)
    assert _taken(slots, EVERY_LANE) == [C]
    for _ in range(21):
        slots.release(B)
        assert slots.take([T, S, B]) is None
    slots.release(B)
    assert slots.take([T, S, B]) is not None
    assert slots.take([T, S, B]) is None


@pytest.mark.parametrize("total", [2, 3, 4, 8, 16, 31])
def test_at_every_size_every_lane_keeps_its_weight(total: int) -> None:
    slots = Slots(total=32, reserved=4, weights=WEIGHTS)
    slots.resize(total)
    share = Counter(_starts(slots, [T, S, B], count=4000))
    for lane in SHARING_LANES:
        assert share[lane] / 4000 == pytest.approx(WEIGHTS[lane] / 10, rel=0.1)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.lists(st.sampled_from(EVERY_LANE), min_size=1, unique=True)),
        st.tuples(st.just("release"), st.sampled_from(EVERY_LANE)),
        st.tuples(st.just("resize"), st.tuples(st.integers(1, 100), st.integers(0, 100))),
    ),
    max_size=150,
)


@given(st.integers(1, 40), st.data(), STEPS)
def test_whatever_happens_critical_finds_what_is_reserved_for_it(
    most: int, draws: st.DataObject, steps: list[tuple[str, Any]]
) -> None:
    reserved_of_most = draws.draw(st.integers(0, most - 1))
    slots = Slots(total=most, reserved=reserved_of_most, weights=WEIGHTS)
    total, for_critical, in_use = most, 0, Counter[Lane]()
    for what, value in steps:
        reserved = min(-(-total * reserved_of_most // most), total - 1)
        own = min(reserved_of_most, reserved + max(0, for_critical - total))
        sharing = sum(in_use[lane] for lane in SHARING_LANES)
        if what == "resize":
            total, for_critical = min(value[0], most), value[1]
            slots.resize(total, for_critical=for_critical)
        elif what == "release" and in_use[value]:
            in_use[value] -= 1
            slots.release(value)
        elif what == "take":
            lane = slots.take(value)
            if C in value and (in_use[C] < own or in_use.total() < total):
                assert lane is C
            elif lane is not None:
                assert lane in value
                assert lane is not C
                assert sharing < total - reserved
                assert in_use.total() < total
            else:
                assert not set(value) & set(SHARING_LANES) or slots.is_full
            if lane is not None:
                in_use[lane] += 1
        assert slots.in_use == in_use.total() <= most


def _taken(slots: Slots, waiting: list[Lane]) -> list[Lane]:
    """Take as many as there are."""
    return list(iter(lambda: slots.take(waiting), None))
