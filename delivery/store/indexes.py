"""The collections and their indexes. Partial ones hold live states only: their size follows the backlog, not
the history."""

from datetime import UTC, datetime

from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import OperationFailure

from delivery.domain.idempotency import KEPT
from delivery.domain.states import State
from delivery.store.client import Document, store_errors

SET = {"$gt": datetime(1970, 1, 1, tzinfo=UTC)}
"""True of every time that is there. Queries repeat it, so that the partial index serves them."""


COLLECTIONS = frozenset(
    {
        "api_keys",
        "attachments",
        "breakers",
        "call_budgets",
        "counts",
        "emails",
        "idempotency_keys",
        "loop_leases",
        "provider_events",
        "rate_budgets",
        "tenants",
        "watermarks",
    }
)

_NAMESPACE_EXISTS = 48


def create_indexes(db: Database[Document]) -> None:
    """Create what is missing, collections too; safe to repeat and to run from several processes.

    Raises StoreUnavailable.
    """
    with store_errors():
        _create_collections(db)
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


def _create_collections(db: Database[Document]) -> None:
    """All at the start, and none by its first document: SecantusDB makes a table for it, and if it is killed
    in the midst of that it can't be opened again (0.7.0b3)."""
    for name in sorted(COLLECTIONS.difference(db.list_collection_names())):
        try:
            db.command("create", name)
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:  # another process was faster
                raise
