"""How many requests a tenant may make: a token bucket.

Kept as the generic cell rate algorithm (ITU-T I.371), as domain/call_budget.py is: one time, ``free_at``, is
the whole state. A request is allowed when that time has come, and moves it on by one interval. A rest saves
up a burst.

Times are nanoseconds of the Unix epoch, because the store adds to them, and that it does to numbers only.
"""

from dataclasses import dataclass
from datetime import timedelta

SECOND = 1_000_000_000

_BLOCKS_PER_SECOND = 20

MOST_PER_SECOND = 100_000
"""More than one store accepts. An interval stays long enough to count in nanoseconds."""


MOST_BURST = 10 * MOST_PER_SECOND


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second in the long run, and ``burst`` at once after a rest. Zero: no limit."""

    per_second: int
    burst: int

    @property
    def is_unlimited(self) -> bool:
        return self.per_second == 0

    @property
    def interval(self) -> int:
        return SECOND // self.per_second

    @property
    def block(self) -> int:
        """How many tokens a process takes from the store at a time, so that not each request goes there.

        Taken and not yet used, they are what a tenant may have beyond its rate: once, and per process.
        """
        return max(1, min(self.per_second // _BLOCKS_PER_SECOND, self.burst))

    @property
    def window(self) -> timedelta:
        """How long an empty bucket takes to fill."""
        return _duration(self.interval * self.burst)

    @property
    def earliest(self) -> int:
        """How long before now a full bucket's ``free_at`` is."""
        return self.interval * (self.burst - 1)

    def room(self, *, free_at: int, now: int) -> int:
        """How many requests may come now."""
        return 0 if free_at > now else min(self.burst, 1 + (now - free_at) // self.interval)

    def next_in(self, *, free_at: int, now: int) -> timedelta:
        return _duration(free_at - now)

    def full_in(self, *, free_at: int, now: int) -> timedelta:
        return _duration(free_at - (now - self.earliest))


def _duration(nanoseconds: int) -> timedelta:
    return timedelta(microseconds=max(0, nanoseconds) / 1000)


UNLIMITED = Rate(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a tenant has left. reset: when it has all of ``limit`` again, if it makes no request meanwhile.

    window: how long an empty bucket takes to fill.

    remaining: at least; other processes may hold more, or have taken some since.
    """

    limit: int
    remaining: int
    reset: timedelta
    window: timedelta
