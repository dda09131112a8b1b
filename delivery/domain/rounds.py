"""Going round the tenants, some in each turn, so that a turn costs no more where there are many."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import timedelta

LEAST = 5
"""Tenants in a turn: where there are no more, each turn is a whole round."""


class TenantRounds:
    """Remembers who was last; tenants may come and go between two turns."""

    def __init__(self) -> None:
        self._last = ""

    def next(self, tenant_ids: Sequence[str], *, at_once: int = LEAST) -> list[str]:
        """The next of these, at most so many, and each once in a round."""
        in_order = sorted(tenant_ids)
        first = bisect_right(in_order, self._last)
        chosen = (in_order[first:] + in_order[:first])[:at_once]
        if chosen:
            self._last = chosen[-1]
        return chosen


def tenants_in_a_turn(number: int, *, every: timedelta, round_within: timedelta) -> int:
    """How many of so many tenants a turn must have, if there is one ``every`` so often."""
    return max(LEAST, math.ceil(number * (every / round_within)))
