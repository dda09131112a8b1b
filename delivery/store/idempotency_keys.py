"""The records of idempotency keys: ``_id`` is a hash of the tenant and its key."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from pymongo.database import Database

from delivery.domain.idempotency import KeyRecord, RefusedItem
from delivery.domain.inserted import Inserted
from delivery.store.client import Document, store_errors
from delivery.store.inserts import insert_new


class IdempotencyKeys:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._keys = db.idempotency_keys

    def insert(self, records: Sequence[KeyRecord]) -> Inserted:
        """Insert in one call; one that was there before stays as it is. No two may be of one key."""
        return insert_new(self._keys, [{"_id": r.record_id, **_document(r)} for r in records])

    def find(self, record_ids: Iterable[str]) -> dict[str, KeyRecord]:
        with store_errors():
            found = list(self._keys.find({"_id": {"$in": list(record_ids)}}))
        return {document["_id"]: _record(document) for document in found}

    def replace(self, old: KeyRecord, new: KeyRecord) -> bool:
        """False if another request was quicker to replace it."""
        with store_errors():
            result = self._keys.replace_one(
                {"_id": old.record_id, "email_ids": list(old.email_ids)}, _document(new)
            )
        return result.matched_count == 1


def _document(record: KeyRecord) -> Document:
    document: Document = {
        "tenant_id": record.tenant_id,
        "fingerprint": record.fingerprint,
        "email_ids": list(record.email_ids),
        "created_at": record.created_at,
    }
    if record.refused:
        document["refused"] = [asdict(item) for item in record.refused]
    return document


def _record(document: Document) -> KeyRecord:
    return KeyRecord(
        record_id=document["_id"],
        tenant_id=document["tenant_id"],
        fingerprint=document["fingerprint"],
        email_ids=tuple(document["email_ids"]),
        created_at=document["created_at"],
        refused=tuple(RefusedItem(**item) for item in document.get("refused", ())),
    )
