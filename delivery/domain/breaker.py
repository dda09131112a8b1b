"""A provider's circuit breaker: when calls to it stop, when one is tried, when they go on. Pure rules.

Closed, open, half-open: M. Nygard, Release It!, "Circuit Breaker". Each process counts its own calls; the
breaker itself is one value, shared by all.
"""

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from delivery.domain.outcomes import Outcome

_FAILURES = frozenset({Outcome.UNAVAILABLE, Outcome.UNKNOWN, Outcome.MISCONFIGURED})
"""Throttled is none: a provider that says "too many" works, and wants fewer calls at once."""


class Phase(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"  # one call is out to see


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When it opens, and for how long.

    run: failures one after the other. share: percent of the calls of a window, if there were least_calls.
    The pause before a probe doubles from first_pause to longest_pause with every probe that fails.
    """

    run: int
    share: int
    window: timedelta
    least_calls: int
    first_pause: timedelta
    longest_pause: timedelta

    def pause(self, failures: int) -> timedelta:
        """How long after so many failures in a row (the opening is the first) the next probe leaves."""
        factor: int = 2 ** min(failures - 1, 30)  # enough for every pause, too little to overflow
        return min(self.first_pause * factor, self.longest_pause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """What all processes share.

    since: when it opened, or closed. until: open: when a probe may leave; half-open: when its process is
    taken for dead. failures: the opening and the probes that failed since. is_misconfigured: our credential
    or address was refused. version: rises with every change.
    """

    phase: Phase = Phase.CLOSED
    since: datetime | None = None
    until: datetime | None = None
    failures: int = 0
    reason: str | None = None
    is_misconfigured: bool = False
    version: int = 0

    @property
    def is_closed(self) -> bool:
        return self.phase is Phase.CLOSED

    def may_probe(self, *, now: datetime, at_most: timedelta) -> bool:
        """Whether a probe may leave now. at_most: a time further ahead than this was set by a wrong clock."""
        return self.until is not None and not now < self.until <= now + at_most


def is_failure(outcome: Outcome) -> bool:
    """Whether it tells that the provider doesn't work; every other outcome tells that it does."""
    return outcome in _FAILURES


def opened(
    breaker: Breaker, *, reason: str, is_misconfigured: bool, policy: BreakerPolicy, now: datetime
) -> Breaker:
    """Opened, or open again for longer, after a probe that failed."""
    failures = breaker.failures + 1
    return Breaker(
        phase=Phase.OPEN,
        since=now if breaker.is_closed else breaker.since,
        until=now + policy.pause(failures),
        failures=failures,
        reason=reason,
        is_misconfigured=is_misconfigured,
        version=breaker.version + 1,
    )


def probing(breaker: Breaker, *, until: datetime) -> Breaker:
    """One process has the probe, until it says what came of it or is taken for dead."""
    return replace(breaker, phase=Phase.HALF_OPEN, until=until, version=breaker.version + 1)


def probe_left(breaker: Breaker, *, now: datetime) -> Breaker:
    """Its process had nothing to probe with, or stops: any other may probe at once."""
    return replace(breaker, phase=Phase.OPEN, until=now, version=breaker.version + 1)


def closed(breaker: Breaker, *, now: datetime) -> Breaker:
    return Breaker(phase=Phase.CLOSED, since=now, version=breaker.version + 1)


class Tally:
    """One process's calls: how many failed one after the other, and what share of a sliding window.

    Times are seconds on any clock that never goes back. Calls are counted by the second.
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._seconds: deque[tuple[int, int, int]] = deque()  # the second, its calls, its failures
        self._run = 0
        self._counts_from = float("-inf")

    def count(self, outcome: Outcome, *, begun: float, ended: float) -> str | None:
        """Count a call; returns why the breaker must open, if it must."""
        if begun < self._counts_from:
            return None
        failed = is_failure(outcome)
        self._run = self._run + 1 if failed else 0
        self._add(int(ended), failed)
        if outcome is Outcome.MISCONFIGURED:
            return "our credential or address is refused"
        if self._run >= self._policy.run:
            return f"{self._run} calls in a row failed"
        if not failed:
            return None
        calls, failures = self._in_window()
        if calls >= self._policy.least_calls and failures * 100 >= calls * self._policy.share:
            return f"{failures} of {calls} calls failed"
        return None

    def restart(self, *, at: float) -> None:
        """Count afresh, and only calls that begin from now on: an older one tells of what is over."""
        self._seconds.clear()
        self._run = 0
        self._counts_from = at

    def _add(self, second: int, failed: bool) -> None:
        calls = failures = 0
        if self._seconds and self._seconds[-1][0] >= second:
            second, calls, failures = self._seconds.pop()
        self._seconds.append((second, calls + 1, failures + failed))
        while self._seconds[0][0] <= second - self._policy.window.total_seconds():
            self._seconds.popleft()

    def _in_window(self) -> tuple[int, int]:
        return sum(calls for _, calls, _ in self._seconds), sum(failed for *_, failed in self._seconds)
