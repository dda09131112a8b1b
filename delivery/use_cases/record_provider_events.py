"""Record what providers report: verified by the route, stored here, applied by apply_provider_events."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from delivery.domain.inserted import Inserted
from delivery.domain.owed import OwedEvent
from delivery.domain.provider_events import ProviderEvent


class NewProviderEvents(Protocol):
    def insert(self, events: Sequence[ProviderEvent], *, now: datetime) -> Inserted: ...


def record_provider_events(
    events: Sequence[ProviderEvent],
    *,
    store: NewProviderEvents,
    hand_over: Callable[[Sequence[OwedEvent]], None],
    now: datetime,
) -> Inserted:
    """Store a batch and hand its messages over; tells which were there before and which were not taken.

    Raises StoreUnavailable. What raises or was not taken, the provider must send again.
    """
    inserted = store.insert(events, now=now)
    event_ids = dict.fromkeys(event.event_id for event in events)
    hand_over([OwedEvent(event_id=event_id) for event_id in event_ids if event_id not in inserted.failed])
    return inserted
