"""Emails that wait for their time, and those that their tenants take back.

``scheduled.at`` is on the document for as long as it waits, so that the index holds nothing else.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo import ASCENDING
from pymongo.database import Database

from delivery.domain.emails import Standing
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, OwedTo
from delivery.domain.scheduling import DueEmail
from delivery.domain.states import State
from delivery.domain.waiting import EXPIRED
from delivery.store.client import Document, calls_within, store_errors
from delivery.store.email_documents import OWED_FIELDS, history_entry, owed_document, owed_of
from delivery.store.indexes import SET

FIRST_GEN = 1
"""Of every scheduled email: it has been given no message yet."""

READ_WITHIN = timedelta(seconds=60)
"""SecantusDB reads all that is due before it sorts it: seconds for a hundred thousand."""


class ScheduledEmails:
    """Every method raises StoreUnavailable when the store is away, and may be repeated then."""

    def __init__(self, db: Database[Document]) -> None:
        self._emails = db.emails

    def due(self, lane: Lane, *, now: datetime, limit: int) -> list[DueEmail]:
        """What of a lane is due, in the order in which it is to be sent."""
        query = {"lane": lane.value, "scheduled.at": {**SET, "$lte": now}}
        with calls_within(READ_WITHIN), store_errors():
            found = self._emails.find(query, {"tenant_id": 1, "expires_at": 1})
            return [_due(document) for document in found.sort("scheduled.at", ASCENDING).limit(limit)]

    def queue(self, email_ids: Sequence[str], *, now: datetime) -> list[OwedEmail]:
        """Queue those of these that are due still; returns what they owe, in this order."""
        with store_errors():
            self._emails.update_many(
                _waiting(email_ids, now=now),
                {
                    "$set": {
                        "state": State.QUEUED.value,
                        "updated_at": now,
                        "waiting_since": now,
                        "owed": owed_document(OwedTo.LANE, gen=FIRST_GEN, at=now),
                    },
                    "$unset": {"scheduled": ""},
                    "$push": history_entry(State.QUEUED, at=now),
                },
            )
            query = {"_id": {"$in": list(email_ids)}, "owed.gen": FIRST_GEN}
            owed = {found["_id"]: owed_of(found) for found in self._emails.find(query, OWED_FIELDS)}
        return [owed[email_id] for email_id in email_ids if email_id in owed]

    def expire(self, email_ids: Sequence[str], *, now: datetime) -> list[str]:
        """End those of these that are due still and have expired; returns which these were."""
        expired = {**_waiting(email_ids, now=now), "expires_at": {"$lte": now}}
        ended = {"_id": {"$in": list(email_ids)}, "state": State.EXPIRED.value, "updated_at": now}
        with store_errors():
            self._emails.update_many(expired, _ending(State.EXPIRED, reason=EXPIRED.reason, now=now))
            return [document["_id"] for document in self._emails.find(ended, {"_id": 1})]

    def cancel(self, seen: Standing, *, reason: str, now: datetime) -> bool:
        """Cancel an email unless it is no more where it was seen. Whoever claims it wins, or this does."""
        with store_errors():
            result = self._emails.update_one(
                {**_as_seen(seen), "may_be_sent": {"$exists": False}},
                _ending(State.CANCELED, reason=reason, now=now),
            )
        return result.matched_count == 1

    def reschedule(self, seen: Standing, *, send_at: datetime, now: datetime) -> bool:
        """Let it be due at another time unless it is no more where it was seen."""
        with store_errors():
            result = self._emails.update_one(
                _as_seen(seen),
                {
                    "$set": {
                        "send_at": send_at,
                        "due_at": send_at,
                        "scheduled": {"at": send_at},
                        "updated_at": now,
                    },
                    "$push": history_entry(State.SCHEDULED, at=now, detail="rescheduled"),
                },
            )
        return result.matched_count == 1


def _waiting(email_ids: Sequence[str], *, now: datetime) -> Document:
    return {
        "_id": {"$in": list(email_ids)},
        "state": State.SCHEDULED.value,
        "scheduled.at": {"$lte": now},
    }


def _as_seen(seen: Standing) -> Document:
    return {
        "_id": seen.email_id,
        "tenant_id": seen.tenant_id,
        "state": seen.state.value,
        "gen": seen.gen,
    }


def _ending(state: State, *, reason: str, now: datetime) -> Document:
    return {
        "$set": {"state": state.value, "updated_at": now, "reason": reason},
        "$unset": {"scheduled": "", "owed": "", "published": ""},
        "$push": history_entry(state, at=now),
    }


def _due(document: Document) -> DueEmail:
    return DueEmail(
        email_id=document["_id"], tenant_id=document["tenant_id"], expires_at=document.get("expires_at")
    )
