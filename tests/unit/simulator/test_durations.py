import math
from random import Random
from statistics import median

import pytest

from simulator.durations import Duration, fixed, parse_duration, show_duration


def test_a_number_is_always_the_same_duration() -> None:
    duration = parse_duration(0.25)
    assert duration == fixed(0.25)
    assert [duration.draw(Random(1)) for _ in range(3)] == [0.25, 0.25, 0.25]


def test_a_uniform_duration_stays_between_its_ends() -> None:
    duration = parse_duration({"distribution": "uniform", "low": 1, "high": 3})
    random = Random(1)
    drawn = [duration.draw(random) for _ in range(1_000)]
    assert 1 <= min(drawn) < 1.2
    assert 2.8 < max(drawn) <= 3


def test_a_normal_duration_is_never_negative() -> None:
    duration = parse_duration({"distribution": "normal", "mean": 0.1, "deviation": 5})
    random = Random(1)
    drawn = [duration.draw(random) for _ in range(1_000)]
    assert min(drawn) == 0
    assert max(drawn) > 5


def test_a_lognormal_duration_has_the_median_it_names() -> None:
    duration = parse_duration({"distribution": "lognormal", "median": 0.2, "sigma": 0.5})
    random = Random(1)
    assert 0.18 < median(duration.draw(random) for _ in range(2_000)) < 0.22


@pytest.mark.parametrize(
    "written",
    [
        2.5,
        {"distribution": "uniform", "low": 1.0, "high": 2.0},
        {"distribution": "normal", "mean": 1.0, "deviation": 2.0},
        {"distribution": "lognormal", "median": 1.0, "sigma": 2.0},
    ],
)
def test_a_duration_is_shown_as_it_was_written(written: object) -> None:
    assert show_duration(parse_duration(written)) == written


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (-1, "seconds must be a number from 0"),
        (math.nan, "seconds must be a number from 0"),
        (math.inf, "seconds must be a number from 0"),
        (10**400, "seconds must be a number from 0"),
        (True, "must be seconds or a distribution"),
        ("2", "must be seconds or a distribution"),
        (None, "must be seconds or a distribution"),
        ({"low": 1, "high": 2}, "distribution must be one of uniform, normal, lognormal"),
        ({"distribution": ["uniform"]}, "distribution must be one of"),
        ({"distribution": "poisson"}, "distribution must be one of"),
        ({"distribution": "uniform", "low": 1}, "uniform takes exactly low and high"),
        ({"distribution": "uniform", "low": 2, "high": 1}, "low must not be above high"),
        ({"distribution": "uniform", "low": "1", "high": 2}, "low must be a number"),
        ({"distribution": "lognormal", "median": 0, "sigma": 1}, "median must be above 0"),
    ],
)
def test_anything_else_is_refused_with_a_reason(written: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_duration(written)


def test_a_fixed_duration_leaves_the_generator_alone() -> None:
    random = Random(7)
    Duration("fixed", (1.0,)).draw(random)
    assert random.random() == Random(7).random()
