import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.delays import DelayStep, step_for
from tests.unit.delivery.builders import seconds

STEPS = [DelayStep(seconds(length), f"{length}s") for length in (30, 1, 5)]


@pytest.mark.parametrize(
    ("wait", "step"),
    [(-1, "1s"), (0, "1s"), (0.2, "1s"), (1, "1s"), (1.001, "5s"), (5, "5s"), (29, "30s"), (31, "30s")],
)
def test_the_shortest_step_that_is_long_enough_is_taken(wait: float, step: str) -> None:
    assert step_for(seconds(wait), steps=STEPS).name == step


@given(st.floats(0, 30), st.lists(st.integers(1, 100), min_size=1, unique=True))
def test_nothing_comes_back_early_where_a_step_is_long_enough(wait: float, lengths: list[int]) -> None:
    steps = [DelayStep(seconds(length), f"{length}s") for length in lengths]
    assert step_for(seconds(wait), steps=steps).length >= min(seconds(wait), seconds(max(lengths)))
