"""Delay steps: the fixed waits that the broker offers, one exchange and queue each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, order=True)
class DelayStep:
    """A wait and its name, as in ``delay.<name>``."""

    length: timedelta
    name: str


def step_for(wait: timedelta, *, steps: Sequence[DelayStep]) -> DelayStep:
    """The shortest step that lasts at least ``wait``; the longest there is, when none does.

    One hop per delay. A message that comes back early is delayed again by whoever gets it.
    """
    fitting = [step for step in steps if step.length >= wait]
    return min(fitting) if fitting else max(steps)
