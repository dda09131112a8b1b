"""Waiting on a condition. The only place in the tests that sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.2


class DeadlineMissed(AssertionError):
    """The condition did not come true in time. The text says what was awaited and what was last seen."""


def wait_until(condition: Callable[[], T], *, within: float, what: str) -> T:
    """Ask `condition` until its answer is true, and return that answer.

    `within` is in seconds and generous: it bounds a hang, it measures nothing. An exception in the condition
    counts as "not yet" and is shown when time is up. Raises DeadlineMissed.
    """
    deadline = time.monotonic() + within
    pause = _FIRST_PAUSE
    while True:
        try:
            answer = condition()
            seen = repr(answer)
        except Exception as error:
            answer = None
            seen = f"{type(error).__name__}: {error}"
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise DeadlineMissed(f"waited {within:g} s until {what}; last seen: {seen}")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def wait_for_value(read: Callable[[], T], expected: T, *, within: float, what: str) -> None:
    """Read until `expected` comes. Raises DeadlineMissed with the value that came instead."""
    last: list[T] = []

    def as_expected() -> bool:
        last[:] = [read()]
        return last[0] == expected

    try:
        wait_until(as_expected, within=within, what=what)
    except DeadlineMissed as missed:
        if last:
            raise DeadlineMissed(
                f"{what}: waited {within:g} s for {expected!r}, still {last[0]!r}"
            ) from missed
        raise
