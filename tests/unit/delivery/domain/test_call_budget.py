from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.call_budget import CallBudget
from simulator.status_budget import most_in_a_window
from tests.unit.delivery.builders import NOW, seconds

LONG_AGO = datetime(1970, 1, 1, tzinfo=NOW.tzinfo)
HESITATION = 2.0
"""Seconds that may pass between the look at the clock and the departure of a call."""
JITTER = 2.0
"""Seconds by which one call may be longer on its way than another."""

BUDGETS = st.integers(1, 300) | st.sampled_from([1, 2, 29, 30, 59, 60, 1000, 100_000])
STEPS = st.lists(
    st.tuples(
        st.floats(0, 70) | st.floats(0, 2) | st.just(0.0),  # since the last take, by whichever process
        st.integers(1, 500),  # wanted
        st.floats(0, HESITATION),
        st.floats(0, JITTER),
    ),
    max_size=60,
)


@given(BUDGETS, STEPS)
def test_no_minute_ever_has_more_calls_than_the_budget(
    per_minute: int, steps: list[tuple[float, int, float, float]]
) -> None:
    """Each process looks at the clock, hesitates, and takes what it saw: looks may be out of order."""
    budget, free_at, clock = CallBudget(per_minute), LONG_AGO, 0.0
    arrivals: list[float] = []
    for passed, wanted, hesitation, jitter in steps:
        clock += passed
        looked_at = NOW + seconds(clock - hesitation)
        allowed, free_at = budget.take(wanted, free_at=free_at, now=looked_at)
        arrivals += [clock + jitter] * allowed
    assert most_in_a_window(sorted(arrivals)) <= per_minute


@pytest.mark.parametrize("per_minute", [1, 2, 10, 29, 30, 31, 59, 60, 120])
def test_a_greedy_caller_never_gets_more_than_the_budget_even_if_its_calls_bunch(per_minute: int) -> None:
    """The first calls arrive as late as can be and those after them at once: the worst that jitter can do."""
    departures = _departures(CallBudget(per_minute), every=0.1, minutes=2.2)
    for late in departures[::7]:
        latest = late + HESITATION + JITTER
        bunched = [latest if late <= at < latest else at for at in departures if at >= late]
        assert most_in_a_window(bunched) <= per_minute


@pytest.mark.parametrize("per_minute", [30, 60, 120, 1000])
def test_whoever_looks_every_second_gets_nearly_all_of_it(per_minute: int) -> None:
    """A loop that looks once a second, a little late each time, as all loops are."""
    departures = _departures(CallBudget(per_minute), every=1.03, minutes=10)
    assert len(departures) >= 0.85 * per_minute * 10


def test_a_long_rest_saves_up_no_more_than_a_burst() -> None:
    budget = CallBudget(60)
    allowed, free_at = budget.take(1000, free_at=LONG_AGO, now=NOW)
    assert allowed == budget.burst == 3
    assert budget.take(1000, free_at=free_at, now=NOW) == (0, free_at)


def test_no_more_is_taken_than_is_wanted() -> None:
    budget = CallBudget(60)
    allowed, free_at = budget.take(1, free_at=LONG_AGO, now=NOW)
    assert allowed == 1
    assert budget.take(5, free_at=free_at, now=NOW)[0] == budget.burst - 1


def test_before_its_time_nothing_is_allowed() -> None:
    free_at = NOW + timedelta(microseconds=1)
    assert CallBudget(60).take(1, free_at=free_at, now=NOW) == (0, free_at)
    assert CallBudget(60).take(1, free_at=free_at, now=free_at)[0] == 1


@pytest.mark.parametrize("per_minute", [1, 7, 60, 100_000])
def test_even_the_smallest_budget_lets_one_call_go(per_minute: int) -> None:
    assert CallBudget(per_minute).take(1, free_at=LONG_AGO, now=NOW)[0] == 1


def _departures(budget: CallBudget, *, every: float, minutes: float) -> list[float]:
    """When calls leave, in seconds, if somebody who wants all there is looks so often."""
    free_at, departures = LONG_AGO, []
    for turn in range(int(minutes * 60 / every)):
        allowed, free_at = budget.take(10_000, free_at=free_at, now=NOW + seconds(turn * every))
        departures += [turn * every] * allowed
    return departures
