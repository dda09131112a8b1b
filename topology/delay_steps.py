"""The steps a retry can wait: a step is a duration and the name of the exchange and queue it waits in."""

import re
from datetime import timedelta

DELAY_STEPS = ("1s", "5s", "15s", "30s", "1m", "5m", "15m", "30m", "1h", "2h", "6h")
"""The steps that exist unless a schedule asks for others."""

LONGEST_STEP = timedelta(days=1)
"""Longer waits belong into MongoDB (`due_at`), where they can be seen and changed."""

_STEP = re.compile(r"([1-9][0-9]*)([smh])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}


def parse_step(step: str) -> timedelta:
    """The duration that a step such as `15m` stands for.

    A step is a whole number from 1 without leading zeros and one unit, `s`, `m` or `h`; at most a day.
    Raises ValueError with a line that a person understands.
    """
    match = _STEP.fullmatch(step)
    if match is None:
        raise ValueError(f"delay step {step!r} is not a whole number of s, m or h, such as 30s, 15m or 2h")
    number, unit = match.groups()
    try:
        duration = timedelta(**{_UNITS[unit]: int(number)})
    except (OverflowError, ValueError):  # so many digits that Python refuses them: too long in any case
        duration = timedelta.max
    if duration > LONGEST_STEP:
        raise ValueError(f"delay step {step!r} is longer than a day; longer waits belong into MongoDB")
    return duration


def step_name(length: timedelta) -> str:
    """The one name of a step of so many whole seconds, in its largest unit: `1m`, never `60s`."""
    seconds = int(length.total_seconds())
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
