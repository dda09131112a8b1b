"""Emails for operators: whole ones, of whatever tenant."""

from collections.abc import Callable, Iterator

from pymongo import DESCENDING
from pymongo.database import Database

from delivery.domain.lanes import Lane
from delivery.domain.records import EmailRecord, HistoryEntry, Search
from delivery.domain.states import State
from delivery.store.client import Document, store_errors
from delivery.store.email_documents import content_of, hash_recipient

PART = 5_000
"""Emails that one call looks through: no search takes longer than a call to the store may."""


class Records:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document], *, hash_key: bytes) -> None:
        self._emails = db.emails
        self._hash_key = hash_key

    def get(self, email_id: str) -> EmailRecord | None:
        with store_errors():
            found = self._emails.find_one({"_id": email_id})
        return _record(found) if found else None

    def search(
        self, wanted: Search, *, tell: Callable[[int], None] = lambda _: None
    ) -> Iterator[EmailRecord]:
        """By id, the highest first: of ids that we chose, that is the newest.

        Part by part, until the caller has enough: it looks through all emails that there are, or those of
        ``email_ids``. tell: hears how many it has looked through.
        """
        query = self._query(wanted)
        if wanted.email_ids is not None:
            with store_errors():
                found = self._emails.find({"_id": {"$in": list(wanted.email_ids)}, **query})
                yield from (_record(document) for document in found.sort("_id", DESCENDING))
            return
        looked_through = 0
        part: Document = {}
        while True:
            with store_errors():
                looked_at = self._emails.find(part, {"_id": 1}).sort("_id", DESCENDING).limit(PART)
                ids = [document["_id"] for document in looked_at]
                if not ids:
                    return
                within = {"_id": {"$gte": ids[-1], "$lte": ids[0]}}
                found = self._emails.find({**query, **within}).sort("_id", DESCENDING)
                yield from (_record(document) for document in found)
            looked_through, part = looked_through + len(ids), {"_id": {"$lt": ids[-1]}}
            tell(looked_through)

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
        email_id=document["_id"],
        tenant_id=document["tenant_id"],
        lane=Lane(document["lane"]),
        priority=document["priority"],
        state=State(document["state"]),
        gen=document["gen"],
        attempts=document["attempts"],
        calls=document["calls"],
        accepted_at=document["accepted_at"],
        updated_at=document["updated_at"],
        due_at=document["due_at"],
        expires_at=document.get("expires_at"),
        reason=document.get("reason"),
        last_error=document.get("last_error"),
        is_unreported=document.get("unreported", False),
        owes=document["owed"]["to"] if "owed" in document else None,
        content=content_of(document["content"]),
        history=tuple(
            HistoryEntry(state=State(entry["state"]), at=entry["at"], detail=entry.get("detail"))
            for entry in document["history"]
        ),
    )
