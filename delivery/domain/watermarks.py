"""Evidence that the broker lost a message.

A queue hands out its messages of one priority in the order they came, and each tenant has a queue in each
lane. So once a message is handed out, every message of its queue and priority that came well before it has
been handed out, too, or is lost. An email that waits is never taken for lost because it waits.

The time of the newest message that was handed out is the watermark of its queue and priority. Where nothing
is handed out for long although something waits, a probe is sent along the same way: a message that stands for
no email and only raises the watermark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from delivery.domain.emails import DEFAULT_TENANT
from delivery.domain.lanes import PRIORITIES, RETRY_PRIORITY, Lane
from delivery.domain.tenant_lanes import TenantLane

PROBE_ID = "00000000-0000-0000-0000-000000000000"
"""The nil UUID, RFC 9562 section 5.9: no email has it."""

ALL_PRIORITIES = (*PRIORITIES, RETRY_PRIORITY)


@dataclass(frozen=True, slots=True)
class Way:
    """One order of messages: a lane, a message priority in it, and whose messages they are."""

    lane: Lane
    priority: int
    tenant_id: str = DEFAULT_TENANT

    @property
    def tenant_lane(self) -> TenantLane:
        return TenantLane(self.lane, self.tenant_id)


def ways_of(tenant_ids: Sequence[str]) -> list[Way]:
    """All ways of these tenants, the most urgent first."""
    return [
        Way(lane, priority, tenant_id)
        for lane in Lane
        for priority in sorted(ALL_PRIORITIES, reverse=True)
        for tenant_id in tenant_ids
    ]


def lost_before(watermark: datetime | None, *, margin: timedelta, now: datetime) -> datetime | None:
    """What came before this and was not handed out is lost.

    margin: for messages that were handed out but wait in a consumer for their slot, and for clocks apart.
    """
    return None if watermark is None else min(watermark, now) - margin


def silence(
    watermark: datetime | None, *, margin: timedelta, now: datetime
) -> tuple[datetime | None, datetime] | None:
    """What came in between these times (None: whenever) and still waits should have told by now: if there is
    any, its way needs a probe. None if the way moves, whatever waits."""
    since = None if watermark is None else watermark - margin
    until = now - margin * 2
    return None if since is not None and since > until else (since, until)
