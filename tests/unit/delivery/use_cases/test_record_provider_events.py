from collections.abc import Sequence
from datetime import datetime

import pytest

from delivery.domain.errors import StoreUnavailable
from delivery.domain.inserted import Inserted
from delivery.domain.owed import OwedEvent
from delivery.domain.provider_events import ProviderEvent
from delivery.domain.reports import Report
from delivery.use_cases.record_provider_events import record_provider_events
from tests.unit.delivery.builders import NOW


class Events:
    def __init__(self) -> None:
        self.kept: list[ProviderEvent] = []
        self.refused: frozenset[str] = frozenset()

    def insert(self, events: Sequence[ProviderEvent], *, now: datetime) -> Inserted:
        assert now == NOW
        self.kept += [event for event in events if event.event_id not in self.refused]
        return Inserted(failed=self.refused)


def _event(number: int) -> ProviderEvent:
    return ProviderEvent(
        provider="p", provider_event_id=str(number), email_id="e", report=Report.DELIVERED, raw="{}"
    )


def test_events_are_kept_and_each_is_handed_over_once() -> None:
    store, handed = Events(), list[OwedEvent]()
    record_provider_events([_event(1), _event(2), _event(1)], store=store, hand_over=handed.extend, now=NOW)
    assert len(store.kept) == 3
    assert handed == [OwedEvent(event_id="p:1"), OwedEvent(event_id="p:2")]


def test_an_event_that_the_store_did_not_take_spoils_no_other() -> None:
    store, handed = Events(), list[OwedEvent]()
    store.refused = frozenset({"p:1"})
    inserted = record_provider_events([_event(1), _event(2)], store=store, hand_over=handed.extend, now=NOW)
    assert inserted.failed == {"p:1"}
    assert handed == [OwedEvent(event_id="p:2")]


def test_what_was_not_kept_is_not_handed_over() -> None:
    class Away(Events):
        def insert(self, events: Sequence[ProviderEvent], *, now: datetime) -> Inserted:
            raise StoreUnavailable("away")

    handed: list[OwedEvent] = []
    with pytest.raises(StoreUnavailable):
        record_provider_events([_event(1)], store=Away(), hand_over=handed.extend, now=NOW)
    assert handed == []
