"""The subscriptions to the lanes' queues: of every tenant one in each lane, taken up as tenants come."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from consumers.lane_buffers import LaneBuffers
from consumers.subscription import Subscription
from delivery.broker.connection import Connection
from delivery.broker.delivery import Message
from delivery.domain.lanes import Lane
from delivery.domain.shares import prefetch
from delivery.domain.slots import Slots
from delivery.domain.tenant_lanes import TenantLane
from topology.definition import lane_bindings, lane_queue

LOOKS = 3
"""A prefetch becomes smaller at the first look at which there are too many tenants for it, and larger only
when at so many looks there were fewer."""


class LaneSubscriptions:
    """All of them take messages, or none does. Belongs to the event loop.

    A tenant has all lanes, also those that it may not use: it may have been allowed to, and what was accepted
    is sent.
    """

    def __init__(
        self,
        *,
        slots: Slots,
        buffers: LaneBuffers,
        arrived: Callable[[TenantLane, Message], None],
    ) -> None:
        self._slots = slots
        self._buffers = buffers
        self._arrived = arrived
        self._places: dict[TenantLane, Subscription] = {}
        self._active: dict[Lane, deque[int]] = {lane: deque(maxlen=LOOKS) for lane in Lane}
        self._connection: Connection | None = None

    @property
    def places(self) -> list[TenantLane]:
        """What is subscribed to, the most urgent lane first."""
        return [place for lane in Lane for place in self._places if place.lane is lane]

    async def start(self, connection: Connection) -> None:
        self._connection = connection
        await self._start(self._places.values())

    async def stop(self) -> None:
        self._connection = None
        await asyncio.gather(*(subscription.stop() for subscription in self._places.values()))

    async def follow(self, shares: dict[str, int]) -> None:
        """Subscribe also for tenants that are new, and heed what the shares are now. Repeat it often."""
        self._buffers.change_shares(shares)
        known = {place.tenant_id for place in self._places}
        new = [tenant_id for tenant_id in shares if tenant_id not in known]
        for lane, active in self._active.items():  # what is new may have a backlog, all at once
            active.append(self._buffers.active_shares(lane) + sum(shares[tenant_id] for tenant_id in new))
        places = [TenantLane(lane, tenant_id) for lane in Lane for tenant_id in new]
        self._places |= {place: self._subscribe(place, shares) for place in places}
        await self._start([self._places[place] for place in places])
        await self._fit(shares)

    async def _start(self, subscriptions: Iterable[Subscription]) -> None:
        if (connection := self._connection) is not None:
            await asyncio.gather(*(subscription.start(connection) for subscription in subscriptions))

    async def _fit(self, shares: dict[str, int]) -> None:
        """Renew those whose prefetch is less than half of what it should be, or more than twice."""
        wanted = {place: self._prefetch(place, shares) for place in self._places if place.tenant_id in shares}
        await asyncio.gather(
            *(
                self._places[place].resize(number)
                for place, number in wanted.items()
                if not number / 2 < self._places[place].prefetch < number * 2
            )
        )

    def _subscribe(self, place: TenantLane, shares: dict[str, int]) -> Subscription:
        def arrived(message: Message) -> None:
            self._arrived(place, message)

        return Subscription(
            lane_queue(place.key),
            prefetch=self._prefetch(place, shares),
            arrived=arrived,
            bindings=lane_bindings(place.key),
        )

    def _prefetch(self, place: TenantLane, shares: dict[str, int]) -> int:
        share = shares[place.tenant_id]
        active = max(share, *self._active[place.lane])
        return prefetch(slots=self._slots.largest_share(place.lane), share=share, active=active)
