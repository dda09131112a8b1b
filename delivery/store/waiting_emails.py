"""Emails whose message lies in the broker, and those whose message it has lost.

``published`` is on the document while its message is in a lane or on its way there: when it comes in (for a
delayed one, when it is due), and with which priority. A letter has the key of its queue for a priority, which
no message in a lane has: see parked_emails.py.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pymongo import ASCENDING, UpdateOne
from pymongo.database import Database

from delivery.domain.emails import DEFAULT_TENANT
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, OwedTo
from delivery.domain.states import CLAIMABLE, State
from delivery.domain.watermarks import Way
from delivery.store.client import Document, store_errors
from delivery.store.email_documents import OWED_FIELDS, history_entry, owed_document, owed_of
from delivery.store.indexes import SET

FIRST_PART = timedelta(seconds=1)

_WAITING = [state.value for state in CLAIMABLE]


class WaitingEmails:
    """Every method raises StoreUnavailable when the store is away, and may be repeated then."""

    def __init__(self, db: Database[Document]) -> None:
        self._emails = db.emails
        self._watermarks = db.watermarks

    def came(self, way: Way, *, since: datetime | None, until: datetime) -> bool:
        """Whether something waits that came in on this way in this time (since None: until then).

        Looked for from ``since`` on, in ever longer parts: SecantusDB reads the whole of a part, whatever the
        limit, and a backlog may be large.
        """
        if since is None:
            return self._any(published(way, {**SET, "$lte": until}))
        length = FIRST_PART
        while since < until:
            end = min(since + length, until)
            if self._any(published(way, {**SET, "$gte": since, "$lte": end})):
                return True
            since, length = end, length * 2
        return False

    def _any(self, query: Document) -> bool:
        with store_errors():
            return bool(list(self._emails.find(query, {"_id": 1}).limit(1)))

    def owe_again(self, way: Way, *, before: datetime, now: datetime, limit: int) -> list[OwedEmail]:
        """Let emails whose message came in before that owe another one; returns what they owe.

        The generation goes up: should the message turn up after all, it is stale.
        """
        lost = published(way, {**SET, "$lt": before})
        owed: list[OwedEmail] = []
        with store_errors():
            found = list(self._emails.find(lost, {"gen": 1}).sort("published.at", ASCENDING).limit(limit))
            for gen in {document["gen"] for document in found}:
                email_ids = [document["_id"] for document in found if document["gen"] == gen]
                self._emails.update_many(
                    {"_id": {"$in": email_ids}, "gen": gen, "state": {"$in": _WAITING}, **lost},
                    {
                        "$set": {
                            "gen": gen + 1,
                            "owed": owed_document(OwedTo.LANE, gen=gen + 1, at=now),
                        },
                        "$inc": {"republished": 1},
                        "$unset": {"published": ""},
                        "$push": history_entry(State.QUEUED, at=now, detail="message lost, published again"),
                    },
                )
                owing = self._emails.find({"_id": {"$in": email_ids}, "owed.gen": gen + 1}, OWED_FIELDS)
                owed += [owed_of(document) for document in owing]
        return owed

    def watermarks(self) -> dict[Way, datetime]:
        with store_errors():
            found = list(self._watermarks.find())
        return {_way(document): document["at"] for document in found}

    def raise_watermarks(self, marks: Mapping[Way, datetime]) -> None:
        if marks:
            with store_errors():
                self._watermarks.bulk_write([_raising(way, at) for way, at in marks.items()], ordered=False)


def published(way: Way, at: Document) -> Document:
    """The query for what came in on this way at such a time."""
    return {
        "lane": way.lane.value,
        "tenant_id": way.tenant_id,
        "published.priority": way.priority,
        "published.at": at,
    }


def _way(watermark: Document) -> Way:
    return Way(Lane(watermark["lane"]), watermark["priority"], watermark.get("tenant_id", DEFAULT_TENANT))


def _raising(way: Way, at: datetime) -> UpdateOne:
    place = {"lane": way.lane.value, "priority": way.priority, "tenant_id": way.tenant_id}
    watermark_id = f"{way.tenant_lane.key}.{way.priority}"
    return UpdateOne({"_id": watermark_id}, {"$max": {"at": at}, "$set": place}, upsert=True)
