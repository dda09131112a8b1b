"""Emails for operators: whole ones, of whatever tenant."""

from datetime import timedelta

from pymongo import DESCENDING
from pymongo.database import Database

from delivery.domain.records import EmailRecord, Search
from delivery.store.client import Document, calls_within, store_errors
from delivery.store.email_documents import hash_recipient, reading_of

SEARCH_WITHIN = timedelta(minutes=2)


class Records:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document], *, hash_key: bytes) -> None:
        self._emails = db.emails
        self._hash_key = hash_key

    def get(self, email_id: str) -> EmailRecord | None:
        with store_errors():
            found = self._emails.find_one({"_id": email_id})
        return _record(found) if found else None

    def search(self, wanted: Search, *, limit: int) -> list[EmailRecord]:
        """The newest first. Looks through all emails that there are, but for those of ``email_ids``."""
        query = self._query(wanted)
        if wanted.email_ids is not None:
            query["_id"] = {"$in": list(wanted.email_ids)}
        with calls_within(SEARCH_WITHIN), store_errors():
            found = self._emails.find(query).sort("accepted_at", DESCENDING).limit(limit)
            return [_record(document) for document in found]

    def _query(self, wanted: Search) -> Document:
        query: Document = {}
        if wanted.tenant_id is not None:
            query["tenant_id"] = wanted.tenant_id
        if wanted.lane is not None:
            query["lane"] = wanted.lane.value
        if wanted.state is not None:
            query["state"] = wanted.state.value
        if wanted.recipient is not None:
            hashed = hash_recipient(wanted.recipient, key=self._hash_key)
            query["$or"] = [{"recipient_hash": hashed}, {"recipient_hashes": hashed}]
        accepted = {"$gte": wanted.since, "$lte": wanted.until}
        accepted = {operator: at for operator, at in accepted.items() if at is not None}
        return query | ({"accepted_at": accepted} if accepted else {})


def _record(document: Document) -> EmailRecord:
    return EmailRecord(
        reading=reading_of(document),
        priority=document["priority"],
        last_error=document.get("last_error"),
        owes=document["owed"]["to"] if "owed" in document else None,
    )
