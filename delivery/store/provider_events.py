"""The collection ``provider_events``: what providers reported, raw and for good.

``pending`` is what an event owes: it is struck when the event has been applied, not when its message was
confirmed, so an event whose message was lost is applied all the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter

from pymongo import ASCENDING
from pymongo.database import Database

from delivery.domain.inserted import Inserted
from delivery.domain.provider_events import PendingEvent, ProviderEvent
from delivery.domain.reports import Report
from delivery.store.client import IN_ONE_REPLY, Document, store_errors
from delivery.store.email_documents import hash_recipient
from delivery.store.inserts import insert_new

MOST_STRUCK = 100
"""In one call. The embedded store compares each event with every id that is named."""

_REPORTS = {report.value: report for report in Report}


class ProviderEvents:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document], *, hash_key: bytes) -> None:
        self._events = db.provider_events
        self._hash_key = hash_key

    def insert(self, events: Sequence[ProviderEvent], *, now: datetime) -> Inserted:
        """Keep new events; an event that is there already stays as it is."""
        unique = {event.event_id: event for event in events}.values()
        documents = [self._document(event, now=now) for event in unique]
        return insert_new(self._events, documents)

    def _document(self, event: ProviderEvent, *, now: datetime) -> Document:
        document: Document = {
            "_id": event.event_id,
            "provider": event.provider,
            "email_id": event.email_id,
            "report": event.report.value,
            "raw": event.raw,
            "received_at": now,
            "pending": True,
        }
        if event.recipient is not None:
            document["recipient_hash"] = hash_recipient(event.recipient, key=self._hash_key)
        return document

    def pending(self, event_ids: Iterable[str]) -> list[PendingEvent]:
        """Those of these events that have not been applied, the oldest first."""
        with store_errors():
            found = self._events.find({"_id": {"$in": list(event_ids)}}, batch_size=IN_ONE_REPLY)
            pending = [_pending_of(document) for document in found if "pending" in document]
        return sorted(pending, key=attrgetter("received_at"))

    def overdue(self, *, older_than: datetime, limit: int) -> list[PendingEvent]:
        """Events that were received before ``older_than`` and not applied since, the oldest first."""
        query = {"pending": True, "received_at": {"$lte": older_than}}
        with store_errors():
            found = self._events.find(query).sort("received_at", ASCENDING).limit(limit)
            return [_pending_of(document) for document in found]

    def record_effects(self, effects: Mapping[str, Sequence[str]], *, now: datetime) -> None:
        """Strike events as applied; may be repeated. effects: what they did -> their ids."""
        with store_errors():
            for effect, event_ids in effects.items():
                for first in range(0, len(event_ids), MOST_STRUCK):
                    self._events.update_many(
                        {"_id": {"$in": list(event_ids[first : first + MOST_STRUCK])}, "pending": True},
                        {"$set": {"applied_at": now, "effect": effect}, "$unset": {"pending": ""}},
                    )


def _pending_of(document: Document) -> PendingEvent:
    return PendingEvent(
        event_id=document["_id"],
        email_id=document["email_id"],
        report=_REPORTS[document["report"]],
        received_at=document["received_at"],
        recipient=document.get("recipient_hash"),
    )
