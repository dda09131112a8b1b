"""Record what providers report: verified by the route, stored here, applied by apply_provider_events."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from delivery.domain.owed import OwedEvent
from delivery.domain.provider_events import ProviderEvent


class NewProviderEvents(Protocol):
    def insert(self, events: Sequence[ProviderEvent], *, now: datetime) -> None: ...


def record_provider_events(
    events: Sequence[ProviderEvent],
    *,
    store: NewProviderEvents,
    hand_over: Callable[[Sequence[OwedEvent]], None],
    now: datetime,
) -> None:
    """Store a batch and hand its messages over. Raises StoreUnavailable: the provider must send it again."""
    store.insert(events, now=now)
    hand_over([OwedEvent(event_id=event_id) for event_id in {event.event_id: None for event in events}])
