from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.rounds import LEAST, TenantRounds, tenants_in_a_turn

TENANTS = st.sets(st.text("abc", min_size=1, max_size=4), max_size=30)


@given(tenants=TENANTS, at_once=st.integers(1, 10))
def test_each_tenant_comes_once_in_a_round(tenants: set[str], at_once: int) -> None:
    rounds = TenantRounds()
    seen: list[str] = []
    while len(seen) < len(tenants):
        turn = rounds.next(list(tenants), at_once=at_once)
        assert len(turn) <= at_once
        seen += turn
    assert set(seen) == tenants
    assert len(seen) < len(tenants) + at_once


def test_where_there_are_few_each_turn_is_a_whole_round() -> None:
    rounds = TenantRounds()
    assert [sorted(rounds.next(["a", "b", "default"])) for _ in range(3)] == [["a", "b", "default"]] * 3


def test_tenants_may_come_and_go_between_two_turns() -> None:
    rounds = TenantRounds()
    assert rounds.next(["a", "b", "c"], at_once=2) == ["a", "b"]
    assert rounds.next(["a", "bb", "c"], at_once=2) == ["bb", "c"]
    assert rounds.next([]) == []
    assert rounds.next(["b"]) == ["b"]


@pytest.mark.parametrize(("number", "expected"), [(1, LEAST), (50, LEAST), (60, LEAST), (600, 50)])
def test_a_turn_has_as_many_as_a_round_in_time_takes(number: int, expected: int) -> None:
    every, round_within = timedelta(seconds=5), timedelta(seconds=60)
    assert tenants_in_a_turn(number, every=every, round_within=round_within) == expected
