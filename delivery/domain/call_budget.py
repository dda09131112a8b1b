"""How often a provider's status endpoint may be asked: never more than the budget in any 60 s.

The generic cell rate algorithm (ITU-T I.371): one time, ``free_at``, is the whole state. A call is allowed
when that time has come, and moves it on by one interval. A rest saves up a burst.

With n calls a minute and a burst of b, any n + 1 calls leave over at least n + 1 - b intervals, which is more
than 64 s: one may be 4 s longer on its way than another.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

_WINDOW = timedelta(seconds=60)

_USED_PART = 0.9
"""Calls leave evenly, but arrive with jitter: the provider must not count one too many."""


@dataclass(frozen=True, slots=True)
class CallBudget:
    """calls_per_minute: what the provider allows in any sliding 60 s. ``burst`` calls may leave at once."""

    calls_per_minute: int

    @property
    def interval(self) -> timedelta:
        return _WINDOW / (self.calls_per_minute * _USED_PART)

    @property
    def burst(self) -> int:
        """Two seconds' worth beyond the first, so that whoever looks every second misses nothing."""
        return 1 + self.calls_per_minute // 30

    def take(self, wanted: int, *, free_at: datetime, now: datetime) -> tuple[int, datetime]:
        """How many of the wanted calls may leave now, and the new ``free_at``."""
        earliest = max(free_at, now - self.interval * (self.burst - 1))
        if earliest > now:
            return 0, free_at
        allowed = min(wanted, self.burst, 1 + (now - earliest) // self.interval)
        return allowed, earliest + self.interval * allowed
