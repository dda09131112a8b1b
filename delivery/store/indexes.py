"""The indexes. Partial ones hold live states only: their size follows the backlog, not the history."""

from datetime import UTC, datetime

from pymongo import ASCENDING
from pymongo.database import Database

from delivery.domain.states import State
from delivery.store.client import Document, store_errors

OWED = {"$gt": datetime(1970, 1, 1, tzinfo=UTC)}
"""True of every ``owed.at``. Queries repeat it, so that the partial index serves them."""


def create_indexes(db: Database[Document]) -> None:
    """Create what is missing; safe to repeat and to run from several processes. Raises StoreUnavailable."""
    with store_errors():
        db.emails.create_index(
            [("lane", ASCENDING), ("owed.at", ASCENDING)],
            name="owed",
            partialFilterExpression={"owed.at": OWED},
        )
        db.emails.create_index(
            [("claim.until", ASCENDING)],
            name="leases",
            partialFilterExpression={"state": State.SUBMITTING.value},
        )
        db.provider_events.create_index(
            [("received_at", ASCENDING)],
            name="pending",
            partialFilterExpression={"pending": True},
        )
