"""Who of the tenants whose emails wait in a lane gets its next slot: each by its share."""

import math
from collections.abc import Collection, Mapping

MOST_SHARE = 1000

LEAST_PREFETCH = 2
"""Messages of a queue that are held at least: one is sent, and the next is there when it has been."""


class Shares:
    """Counts the slots that tenants hold in one lane and picks the one that gets the next.

    Start-time fair queuing: each tenant has a clock that a call moves on by one divided by the tenant's
    share, and whose clock is behind is next. The clock of one that had nothing waiting is set to the others':
    nobody saves up calls. Whoever holds its share of the slots already lets the others go first, so that a
    tenant whose calls hang takes no more than its share from them.

    https://dl.acm.org/doi/10.1145/248156.248171 (Goyal, Vin and Cheng, 1996)
    """

    def __init__(self) -> None:
        self._shares: Mapping[str, int] = {}
        self._clocks: dict[str, float] = {}
        self._in_use: dict[str, int] = {}
        self._now = 0.0

    def change(self, shares: Mapping[str, int]) -> None:
        """What each tenant's share is from now on, at least 1; that of one that is not named is 1."""
        self._shares = shares

    def of(self, tenant_id: str) -> int:
        return self._shares.get(tenant_id, 1)

    @property
    def holders(self) -> Collection[str]:
        """The tenants that hold slots."""
        return self._in_use.keys()

    def take(self, waiting: Collection[str]) -> str:
        """Take a slot for one of the tenants that have something waiting, of whom there is at least one."""
        clocks = {tenant_id: max(self._now, self._clocks.get(tenant_id, 0.0)) for tenant_id in waiting}
        if len(clocks) == 1:
            (chosen,) = clocks
        else:
            held_back = self._holders_of_their_share(clocks)
            chosen = min(clocks, key=lambda tenant_id: (tenant_id in held_back, clocks[tenant_id]))
        self._now = min(clocks.values())
        self._clocks[chosen] = clocks[chosen] + 1 / self.of(chosen)
        self._in_use[chosen] = self._in_use.get(chosen, 0) + 1
        return chosen

    def release(self, tenant_id: str) -> None:
        self._in_use[tenant_id] -= 1
        if not self._in_use[tenant_id]:
            del self._in_use[tenant_id]

    def _holders_of_their_share(self, waiting: Collection[str]) -> set[str]:
        """Of the slots that the lane holds, with the one that is to be taken. Shares are rounded up."""
        active = sum(self.of(tenant_id) for tenant_id in self._in_use.keys() | waiting)
        slots = sum(self._in_use.values()) + 1
        return {
            tenant_id
            for tenant_id in waiting
            if self._in_use.get(tenant_id, 0) * active >= slots * self.of(tenant_id)
        }


def prefetch(*, slots: int, share: int, active: int) -> int:
    """How many messages of a tenant's queue a process should hold at once, in slots or waiting for one.

    slots: the most that the lane can hold. active: the shares of all that have something waiting, this one's
    included. Twice what the tenant can have in slots: enough to fill them, and all that is held begins within
    some two calls' time, however many tenants there are.
    """
    return min(slots, max(LEAST_PREFETCH, math.ceil(2 * slots * share / active)))
