"""Inserting a batch of which some may be there already."""

import logging
from collections.abc import Sequence

from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from delivery.domain.inserted import Inserted
from delivery.store.client import Document, store_errors

log = logging.getLogger(__name__)

_DUPLICATE_KEY = 11000


def insert_new(collection: Collection[Document], documents: Sequence[Document]) -> Inserted:
    """Insert in one call, each by itself: one that is there already, or can't be stored, spoils no other.

    Raises StoreUnavailable.
    """
    try:
        with store_errors():
            collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        return _inserted(error, documents, collection=collection.name)
    return Inserted()


def _inserted(error: BulkWriteError, documents: Sequence[Document], *, collection: str) -> Inserted:
    known, failed = set(), set()
    for failure in error.details["writeErrors"]:
        document_id = documents[failure["index"]]["_id"]
        if failure["code"] == _DUPLICATE_KEY:
            known.add(document_id)
        else:
            log.error("document not stored collection=%s code=%d", collection, failure["code"])
            failed.add(document_id)
    return Inserted(known=frozenset(known), failed=frozenset(failed))
