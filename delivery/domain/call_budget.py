"""How often a provider's status endpoint may be asked: never more than the budget in any 60 s.

The generic cell rate algorithm (ITU-T I.371): one time, ``free_at``, is the whole state. A call is allowed
when that time has come, and moves it on by one interval.
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
        return _WINDOW / max(1.0, self.calls_per_minute * _USED_PART)

    @property
    def burst(self) -> int:
        """Half a second's worth. A long rest saves up no more."""
        return max(1, self.calls_per_minute // 120)

    def take(self, wanted: int, *, free_at: datetime, now: datetime) -> tuple[int, datetime]:
        """How many of the wanted calls may leave now, and the new ``free_at``."""
        earliest = max(free_at, now - self.interval * (self.burst - 1))
        if earliest > now:
            return 0, free_at
        allowed = min(wanted, self.burst, 1 + (now - earliest) // self.interval)
        return allowed, earliest + self.interval * allowed
