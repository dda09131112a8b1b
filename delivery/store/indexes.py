"""The indexes. Partial ones hold live states only: their size follows the backlog, not the history."""

from datetime import UTC, datetime

from pymongo import ASCENDING
from pymongo.database import Database

from delivery.domain.idempotency import KEPT
from delivery.domain.states import State
from delivery.store.client import Document, store_errors

SET = {"$gt": datetime(1970, 1, 1, tzinfo=UTC)}
"""True of every time that is there. Queries repeat it, so that the partial index serves them."""


def create_indexes(db: Database[Document]) -> None:
    """Create what is missing; safe to repeat and to run from several processes. Raises StoreUnavailable."""
    with store_errors():
        db.emails.create_index(
            [("lane", ASCENDING), ("owed.at", ASCENDING)],
            name="owed",
            partialFilterExpression={"owed.at": SET},
        )
        db.emails.create_index(
            [
                ("lane", ASCENDING),
                ("tenant_id", ASCENDING),
                ("published.priority", ASCENDING),
                ("published.at", ASCENDING),
            ],
            name="published_by_tenant",
            partialFilterExpression={"published.at": SET},
        )
        db.emails.create_index(
            [("lane", ASCENDING), ("scheduled.at", ASCENDING)],
            name="scheduled",
            partialFilterExpression={"scheduled.at": SET},
        )
        db.emails.create_index(
            [("claim.until", ASCENDING)],
            name="leases",
            partialFilterExpression={"state": State.SUBMITTING.value},
        )
        db.emails.create_index(
            [("question.about", ASCENDING), ("lane", ASCENDING), ("question.check_at", ASCENDING)],
            name="checks",
            partialFilterExpression={"question.check_at": SET},
        )
        db.emails.create_index(
            [("lane", ASCENDING), ("question.decide_at", ASCENDING)],
            name="deadlines",
            partialFilterExpression={"question.decide_at": SET},
        )
        db.emails.create_index(
            [("tenant_id", ASCENDING), ("accepted_at", ASCENDING), ("_id", ASCENDING)], name="listed"
        )
        db.counts.create_index([("tenant_id", ASCENDING), ("hour", ASCENDING)], name="of_tenant")
        db.idempotency_keys.create_index(
            [("created_at", ASCENDING)], name="expiry", expireAfterSeconds=int(2 * KEPT.total_seconds())
        )
        db.attachments.create_index(
            [("pending_since", ASCENDING)],
            name="pending",
            partialFilterExpression={"pending_since": SET},
        )
        db.provider_events.create_index(
            [("received_at", ASCENDING)],
            name="pending",
            partialFilterExpression={"pending": True},
        )
