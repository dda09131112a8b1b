"""A tenant's part of a lane: what it waits in, and what a share of the lane's calls is for."""

from dataclasses import dataclass

from delivery.domain.emails import DEFAULT_TENANT
from delivery.domain.lanes import Lane


@dataclass(frozen=True, slots=True)
class TenantLane:
    """One queue: a lane, and whose emails wait in it."""

    lane: Lane
    tenant_id: str = DEFAULT_TENANT

    @property
    def key(self) -> str:
        """Its routing key, and how its queue's name ends: ``bulk``, or ``bulk.acme`` of the tenant acme."""
        if self.tenant_id == DEFAULT_TENANT:
            return self.lane.value
        return f"{self.lane.value}.{self.tenant_id}"
