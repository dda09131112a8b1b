from datetime import timedelta

import pytest

from topology.delay_steps import DELAY_STEPS, parse_step, step_name


@pytest.mark.parametrize(
    ("step", "duration"),
    [
        ("1s", timedelta(seconds=1)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("6h", timedelta(hours=6)),
        ("24h", timedelta(days=1)),
    ],
)
def test_a_step_is_a_number_and_a_unit(step: str, duration: timedelta) -> None:
    assert parse_step(step) == duration


@pytest.mark.parametrize("step", ["", "5", "m", "0s", "05s", "1.5h", "-1s", "1d", "1 m", "1M", "1s\n", "١s"])
def test_anything_else_is_refused_with_an_example(step: str) -> None:
    with pytest.raises(ValueError, match=r"is not a whole number of s, m or h, such as 30s") as refusal:
        parse_step(step)
    assert repr(step) in str(refusal.value)


@pytest.mark.parametrize("step", ["25h", "86401s", "9" * 20 + "h", "9" * 5000 + "s"])
def test_a_step_longer_than_a_day_is_refused(step: str) -> None:
    with pytest.raises(ValueError, match="is longer than a day"):
        parse_step(step)


@pytest.mark.parametrize(
    ("written", "name"),
    [("1s", "1s"), ("60s", "1m"), ("90s", "90s"), ("90m", "90m"), ("3600s", "1h"), ("24h", "24h")],
)
def test_a_step_has_one_name_however_it_was_written(written: str, name: str) -> None:
    assert step_name(parse_step(written)) == name


def test_the_usual_steps_have_the_names_that_they_are_given() -> None:
    assert [step_name(parse_step(step)) for step in DELAY_STEPS] == list(DELAY_STEPS)


def test_the_usual_steps_grow() -> None:
    assert list(DELAY_STEPS) == sorted(DELAY_STEPS, key=parse_step)
