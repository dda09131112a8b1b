"""Emails as their tenants read them. Every query is by tenant."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo import DESCENDING
from pymongo.database import Database

from delivery.domain.clocks import TICK
from delivery.domain.lanes import Lane
from delivery.domain.readings import EmailReading, Listed, Place
from delivery.domain.states import State
from delivery.store.client import Document, calls_within, store_errors
from delivery.store.email_documents import STANDING_FIELDS, hash_recipient, reading_of

_ALL_FIELDS = {**STANDING_FIELDS, "content": 1, "history": 1}
_SHOWN = "sender sender_name recipient to cc bcc reply_to subject in_reply_to attachments"
_LIST_FIELDS = {**STANDING_FIELDS, **{f"content.{name}": 1 for name in _SHOWN.split()}}
"""Without the texts: a page of them might be hundreds of megabytes."""

_LISTED_FIELDS = dict.fromkeys(["accepted_at", "state", "lane", "recipient_hash", "recipient_hashes"], 1)
_NEWEST_FIRST = [("accepted_at", DESCENDING), ("_id", DESCENDING)]

READ_WITHIN = timedelta(seconds=10)
"""SecantusDB reads all that was accepted in a time before it sorts it."""


class EmailReadings:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document], *, hash_key: bytes) -> None:
        self._emails = db.emails
        self._hash_key = hash_key

    def get(self, tenant_id: str, email_id: str) -> EmailReading | None:
        """Whole; its attachments are only named."""
        with store_errors():
            found = self._emails.find_one({"_id": email_id, "tenant_id": tenant_id}, _ALL_FIELDS)
        return reading_of(found) if found else None

    def read(self, tenant_id: str, email_ids: Sequence[str]) -> list[EmailReading]:
        """Those of these that are the tenant's, in any order, without texts, headers and history."""
        query = {"_id": {"$in": list(email_ids)}, "tenant_id": tenant_id}
        with store_errors():
            return [reading_of(document) for document in self._emails.find(query, _LIST_FIELDS)]

    def listed(
        self, tenant_id: str, *, recipient: str | None, since: datetime, until: datetime, limit: int
    ) -> list[Listed]:
        """What was accepted in this time, the newest first.

        By no more than its index has: SecantusDB would scan the whole collection for anything besides.
        """
        # Its upper bounds leave equal times out where the index goes on behind them: so none is equal.
        accepted = {"$gte": since, "$lt": until + TICK}
        hashed = None if recipient is None else hash_recipient(recipient, key=self._hash_key)
        with calls_within(READ_WITHIN), store_errors():
            found = self._emails.find({"tenant_id": tenant_id, "accepted_at": accepted}, _LISTED_FIELDS)
            return [_listed(document, hashed) for document in found.sort(_NEWEST_FIRST).limit(limit)]


def _listed(document: Document, recipient_hash: str | None) -> Listed:
    recipients = {document["recipient_hash"], *document.get("recipient_hashes", ())}
    return Listed(
        place=Place(document["accepted_at"], document["_id"]),
        state=State(document["state"]),
        lane=Lane(document["lane"]),
        has_recipient=recipient_hash is None or recipient_hash in recipients,
    )
