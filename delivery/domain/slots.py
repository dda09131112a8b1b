"""Who gets the next slot of a consumer: a reserved part for critical, the rest by weight."""

import math
from collections.abc import Collection, Mapping

from delivery.domain.lanes import SHARING_LANES, Lane


class Slots:
    """Counts slots in use and picks the lane that gets the next one.

    ``critical`` may use every slot; the other lanes share all but the reserved ones. Among those that
    have something waiting, the one that had fewest starts for its weight is next, so that no lane starves,
    and an idle lane's share is used by the others. A lane that holds its weighted share of the slots
    already lets the others go first: one whose calls hang takes no capacity from them.

    The number of slots may change, see ``resize``.
    """

    def __init__(self, *, total: int, reserved: int, weights: Mapping[Lane, int]) -> None:
        """total: how many there are at most, and for now; reserved: how many of those are for critical."""
        if not 0 <= reserved < total:
            raise ValueError("reserved slots must be fewer than all slots")
        self._most = total
        self.reserved = reserved
        self.resize(total)
        self._weights = {lane: weights[lane] for lane in SHARING_LANES}
        self._most_credit = 1 / min(self._weights.values())
        self.in_use = 0
        self._in_use = dict.fromkeys(Lane, 0)
        self._starts = dict.fromkeys(SHARING_LANES, 0.0)

    def resize(self, total: int, *, for_critical: int = 0) -> None:
        """Have so many slots from now on: 1 to as many as there are at most. Raises ValueError.

        The reserved part is the same share of them as of the most, rounded up, but leaves one for the rest.
        for_critical: if this is more than the total, critical's part is larger by as many, up to its whole
        size; it can use those beside what the others hold. Where more are in use than there are now, nothing
        starts until they fit, save what critical's part has free: those slots are its own even then.
        """
        if not 1 <= total <= self._most:
            raise ValueError("the number of slots must be at least 1, and at most what there were at first")
        in_proportion = min(math.ceil(total * self.reserved / self._most), total - 1)
        self.total = total
        self._shared = total - in_proportion
        self._for_critical = min(self.reserved, in_proportion + max(0, for_critical - total))

    def largest_share(self, lane: Lane) -> int:
        """How many slots a lane can hold at once, when there are most; also its prefetch."""
        return self._most if lane is Lane.CRITICAL else self._most - self.reserved

    @property
    def free(self) -> int:
        """How many are left, for critical at least; of its own part some may be even if this is 0."""
        return self.total - self.in_use

    @property
    def is_full(self) -> bool:
        """Whether lanes other than critical have no slot left."""
        return self.in_use >= self.total or self._shared_in_use() >= self._shared

    def take(self, waiting: Collection[Lane]) -> Lane | None:
        """Take a slot for one of the lanes that have something waiting; None when there is none for them."""
        if Lane.CRITICAL in waiting and self._has_one_for_critical():
            self._use(Lane.CRITICAL)
            return Lane.CRITICAL
        if self.is_full:
            return None
        candidates = [lane for lane in SHARING_LANES if lane in waiting]
        if not candidates:
            return None
        self._forget_idle_credit(candidates)
        active = sum(self._weights[lane] for lane in SHARING_LANES if lane in waiting or self._in_use[lane])
        chosen = min(candidates, key=lambda lane: (self._holds_its_share(lane, active), self._starts[lane]))
        self._use(chosen)
        self._starts[chosen] += 1 / self._weights[chosen]
        return chosen

    def release(self, lane: Lane) -> None:
        self._in_use[lane] -= 1
        self.in_use -= 1

    def _use(self, lane: Lane) -> None:
        self._in_use[lane] += 1
        self.in_use += 1

    def _has_one_for_critical(self) -> bool:
        return self.in_use < self.total or self._in_use[Lane.CRITICAL] < self._for_critical

    def _shared_in_use(self) -> int:
        return self.in_use - self._in_use[Lane.CRITICAL]

    def _holds_its_share(self, lane: Lane, active: int) -> bool:
        """``active``: the weights of all lanes that wait or hold slots. Shares are rounded up."""
        return self._in_use[lane] * active >= self._shared * self._weights[lane]

    def _forget_idle_credit(self, candidates: list[Lane]) -> None:
        """A lane that had nothing to send for an hour must not take every slot for the next one."""
        floor = max(self._starts.values()) - self._most_credit
        for lane in candidates:
            self._starts[lane] = max(self._starts[lane], floor)
