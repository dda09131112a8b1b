"""Messages that were delivered and wait for a slot: per lane and tenant, the highest priority first."""

import heapq
from collections.abc import Collection, Mapping
from itertools import count

from delivery.broker.delivery import Message
from delivery.domain.lanes import Lane
from delivery.domain.shares import Shares
from delivery.domain.slots import Slots
from delivery.domain.tenant_lanes import TenantLane

MAX_CLAIM = 200
"""Claimed at once: more would let the first wait for the last."""

_Heap = list[tuple[int, int, Message]]


class LaneBuffers:
    """Gives a free slot to a lane, and in that to a tenant."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._shares = {lane: Shares() for lane in Lane}
        self._waiting: dict[Lane, dict[str, _Heap]] = {lane: {} for lane in Lane}
        self._arrivals = count()

    def change_shares(self, shares: Mapping[str, int]) -> None:
        """What the tenants' shares in every lane are from now on."""
        for of_lane in self._shares.values():
            of_lane.change(shares)

    def add(self, place: TenantLane, message: Message) -> None:
        waiting = self._waiting[place.lane].setdefault(place.tenant_id, [])
        heapq.heappush(waiting, (-(message.priority or 0), next(self._arrivals), message))

    def take(
        self, lanes: Collection[Lane] = tuple(Lane), *, most: int = MAX_CLAIM
    ) -> list[tuple[TenantLane, Message]]:
        """Take what there are slots for, of these lanes; each taken message holds a slot of its lane.

        The others leave a slot for each critical message that waits here.
        """
        taken: list[tuple[TenantLane, Message]] = []
        kept = None if Lane.CRITICAL in lanes else self._count(Lane.CRITICAL)
        while len(taken) < most and (kept is None or self._slots.free > kept):
            lane = self._slots.take([lane for lane in lanes if self._waiting[lane]])
            if lane is None:
                break
            tenants = self._waiting[lane]
            tenant_id = self._shares[lane].take(tenants.keys())
            taken.append((TenantLane(lane, tenant_id), heapq.heappop(tenants[tenant_id])[2]))
            if not tenants[tenant_id]:
                del tenants[tenant_id]
        return taken

    def _count(self, lane: Lane) -> int:
        return sum(len(heap) for heap in self._waiting[lane].values())

    def take_slot(self, place: TenantLane) -> bool:
        """Take a slot for what does not wait here; False if there is none for its lane."""
        if self._slots.take([place.lane]) is None:
            return False
        self._shares[place.lane].take([place.tenant_id])
        return True

    def release(self, place: TenantLane) -> None:
        """Give a slot back."""
        self._slots.release(place.lane)
        self._shares[place.lane].release(place.tenant_id)

    def active_shares(self, lane: Lane) -> int:
        """The shares of all tenants that hold slots of this lane, or wait for one."""
        shares = self._shares[lane]
        return sum(shares.of(tenant_id) for tenant_id in self._waiting[lane].keys() | shares.holders)

    def clear(self) -> list[Message]:
        """Empty the buffers; returns what was in them."""
        tenants = [heap for lane in self._waiting.values() for heap in lane.values()]
        for lane in self._waiting.values():
            lane.clear()
        return [message for heap in tenants for _, _, message in heap]
