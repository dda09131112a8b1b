from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.rates import SECOND, UNLIMITED, Rate

NOW = 10**18
RATE = Rate(per_second=10, burst=20)


def test_a_full_bucket_has_a_burst_and_is_full() -> None:
    for free_at in (0, NOW - RATE.earliest):
        assert RATE.room(free_at=free_at, now=NOW) == 20
        assert RATE.full_in(free_at=free_at, now=NOW) == timedelta(0)


def test_an_empty_bucket_fills_one_by_one() -> None:
    empty = NOW - RATE.earliest + 20 * RATE.interval
    assert RATE.room(free_at=empty, now=NOW) == 0
    assert RATE.next_in(free_at=empty, now=NOW) == timedelta(milliseconds=100)
    assert RATE.full_in(free_at=empty, now=NOW) == timedelta(seconds=2) == RATE.window
    assert RATE.room(free_at=empty, now=NOW + SECOND) == 10
    assert RATE.room(free_at=empty, now=NOW + 3600 * SECOND) == 20


@pytest.mark.parametrize(
    ("per_second", "burst", "block"), [(1, 1, 1), (50, 50, 2), (1000, 1000, 50), (90, 3, 3)]
)
def test_a_block_is_a_twentieth_of_a_second_and_no_more_than_the_burst(
    per_second: int, burst: int, block: int
) -> None:
    assert Rate(per_second, burst).block == block


def test_zero_is_no_limit() -> None:
    assert UNLIMITED.is_unlimited
    assert not Rate(1, 1).is_unlimited


@given(
    per_second=st.integers(1, 1000),
    burst=st.integers(1, 100),
    steps=st.lists(st.tuples(st.integers(0, SECOND), st.integers(1, 10)), max_size=50),
)
def test_no_more_than_the_rate_and_a_burst_are_ever_made(
    per_second: int, burst: int, steps: list[tuple[int, int]]
) -> None:
    rate, now, free_at, made = Rate(per_second, burst), NOW, 0, 0
    for pause, wanted in steps:
        now += pause
        granted = min(wanted, rate.room(free_at=free_at, now=now))
        free_at = max(free_at, now - rate.earliest) + granted * rate.interval
        made += granted
    # An interval is a whole number of nanoseconds: a rate may be a hair above what was asked for.
    assert made <= burst + (now - NOW) // rate.interval
