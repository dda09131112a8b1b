"""The collection ``emails``: accepting, looking up, and what is owed.

Claims and settlements are in claims.py, provider reports in reported_emails.py.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from pymongo import ASCENDING
from pymongo.database import Database

from delivery.domain.emails import NewEmail, Standing
from delivery.domain.inserted import Inserted
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, OwedTo, message_way
from delivery.domain.states import REVIVABLE, State
from delivery.store.attachments import Attachments
from delivery.store.client import IN_ONE_REPLY, Document, store_errors
from delivery.store.email_documents import (
    OWED_FIELDS,
    STANDING_FIELDS,
    history_entry,
    new_document,
    owed_document,
    owed_of,
    standing_of,
)
from delivery.store.indexes import SET
from delivery.store.inserts import insert_new

MAX_INSERT_BYTES = 4 * 1024 * 1024
"""Of one call, which must end in time; a single email may be larger."""

MOST_STRUCK = 50
"""In one call. The embedded store compares each email with every id that is named."""

FEW_OWED = 50
LONGEST_SPAN = timedelta(seconds=10)
"""Of debts that were made in a longer time it may take long to find out which are owed still."""


class Emails:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(
        self,
        db: Database[Document],
        *,
        hash_key: bytes,
        count: Callable[[Sequence[NewEmail]], None] = lambda _: None,
    ) -> None:
        """count: hears of what is inserted."""
        self._emails = db.emails
        self._count = count
        self._attachments = Attachments(db)
        self._hash_key = hash_key

    def insert(self, new: Sequence[NewEmail]) -> Inserted:
        """Insert, in one call unless it is much; one that was there before stays as it is.

        Attachments come first: an email that is there has all of its own.
        """
        inserted = Inserted()
        self._attachments.put(new)
        for batch in batches(new):
            inserted |= insert_new(
                self._emails, [new_document(email, hash_key=self._hash_key) for email in batch]
            )
        not_new = inserted.known | inserted.failed
        self._count([email for email in new if email.email_id not in not_new])
        return inserted

    def get(self, tenant_id: str, email_id: str) -> Standing | None:
        with store_errors():
            found = self._emails.find_one({"_id": email_id, "tenant_id": tenant_id}, STANDING_FIELDS)
        return standing_of(found) if found else None

    def own(self, tenant_id: str, email_ids: Iterable[str]) -> set[str]:
        """Those of these emails that are this tenant's."""
        query = {"_id": {"$in": list(email_ids)}, "tenant_id": tenant_id}
        with store_errors():
            return {document["_id"] for document in self._emails.find(query, {"_id": 1})}

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        """Where these emails stand, of whatever tenant; unknown ids are left out."""
        with store_errors():
            query = {"_id": {"$in": list(email_ids)}}
            found = list(self._emails.find(query, STANDING_FIELDS, batch_size=IN_ONE_REPLY))
        return {document["_id"]: standing_of(document) for document in found}

    def content_hashes(self, email_ids: Iterable[str]) -> dict[str, str]:
        """Of whatever tenant: the ids are made of the publisher's own, who may have had another one then."""
        with store_errors():
            found = list(self._emails.find({"_id": {"$in": list(email_ids)}}, {"content_hash": 1}))
        return {document["_id"]: document.get("content_hash", "") for document in found}

    def owed(self, lane: Lane, *, older_than: datetime, limit: int, skip: int = 0) -> list[OwedEmail]:
        """What a lane's emails owe since before ``older_than``, the oldest debts first.

        In the order of the index, without a hint: SecantusDB scans the whole of a hinted one.
        """
        query = {"lane": lane.value, "owed.at": {**SET, "$lte": older_than}}
        with store_errors():
            found = self._emails.find(query, OWED_FIELDS).sort("owed.at", ASCENDING).skip(skip).limit(limit)
            return [owed_of(document) for document in found]

    def owing(self, email_ids: Iterable[str]) -> list[OwedEmail]:
        """What these emails owe at this moment."""
        query = {"_id": {"$in": list(email_ids)}, "owed": {"$exists": True}}
        with store_errors():
            return [owed_of(found) for found in self._emails.find(query, OWED_FIELDS)]

    def still_owed(self, published: Iterable[OwedEmail]) -> list[OwedEmail]:
        """Those of these debts that may be owed still: all of them, unless few emails owe anything.

        Where claims struck nearly all of them it costs no more than a look into an index that is nearly
        empty: what a lane owes since the time in which these debts were made.
        """
        by_lane: dict[Lane, list[OwedEmail]] = defaultdict(list)
        for debt in published:
            by_lane[debt.lane].append(debt)
        return [debt for lane, debts in by_lane.items() for debt in self._still_owed(lane, debts)]

    def _still_owed(self, lane: Lane, debts: list[OwedEmail]) -> list[OwedEmail]:
        made_at = [debt.since for debt in debts if debt.since is not None]
        if len(made_at) < len(debts) or max(made_at) - min(made_at) > LONGEST_SPAN:
            return debts
        query = {"lane": lane.value, "owed.at": {**SET, "$gte": min(made_at), "$lte": max(made_at)}}
        with store_errors():
            owing = {found["_id"] for found in self._emails.find(query, {"_id": 1}).limit(FEW_OWED)}
        return debts if len(owing) == FEW_OWED else [debt for debt in debts if debt.email_id in owing]

    def clear_owed(self, published: Iterable[OwedEmail], *, now: datetime) -> None:
        """Strike what the broker confirmed and note what waits in it now; another generation's debt stays."""
        alike: dict[tuple[int, datetime, int | str], list[str]] = defaultdict(list)
        for owed in published:
            way = message_way(owed)
            place = way.priority if way else owed.to.value  # a letter lies in the queue of that name
            alike[owed.gen, max(owed.due_at, now), place].append(owed.email_id)
        with store_errors():
            for (gen, comes_in_at, place), email_ids in alike.items():
                for first in range(0, len(email_ids), MOST_STRUCK):
                    self._emails.update_many(
                        {"_id": {"$in": email_ids[first : first + MOST_STRUCK]}, "owed.gen": gen},
                        {
                            "$unset": {"owed": ""},
                            "$set": {"published": {"at": comes_in_at, "priority": place}},
                        },
                    )

    def revive(self, letters: Iterable[tuple[str, int]], *, now: datetime) -> list[OwedEmail]:
        """Queue dead or held emails again, with a fresh set of attempts; returns what they now owe.

        letters: (email_id, gen) as the moved letter says; one that isn't of the email's generation, or
        whose email is not parked, changes nothing.
        """
        by_gen: dict[int, list[str]] = defaultdict(list)
        for email_id, gen in letters:
            by_gen[gen].append(email_id)
        revived: list[OwedEmail] = []
        for gen, email_ids in by_gen.items():
            revived += self._revive_generation(email_ids, gen=gen, now=now)
        return revived

    def _revive_generation(self, email_ids: list[str], *, gen: int, now: datetime) -> list[OwedEmail]:
        parked = [state.value for state in REVIVABLE]
        with store_errors():
            self._emails.update_many(
                {"_id": {"$in": email_ids}, "gen": gen, "state": {"$in": parked}},
                {
                    "$set": {
                        "state": State.QUEUED.value,
                        "gen": gen + 1,
                        "attempts": 0,
                        "waits": 0,
                        "due_at": now,
                        "waiting_since": now,
                        "updated_at": now,
                        "owed": owed_document(OwedTo.LANE, gen=gen + 1, at=now),
                    },
                    "$inc": {"requeues": 1},
                    "$unset": {"reason": "", "published": ""},
                    "$push": history_entry(State.QUEUED, at=now, detail="requeued"),
                },
            )
            found = self._emails.find(
                {"_id": {"$in": email_ids}, "gen": gen + 1, "owed.gen": gen + 1}, OWED_FIELDS
            )
            return [owed_of(document) for document in found]


def batches(new: Sequence[NewEmail]) -> Iterator[list[NewEmail]]:
    """Emails in their order, in as few batches as their contents allow."""
    batch: list[NewEmail] = []
    size = 0
    for email in new:
        own = email.request.content.size
        if batch and size + own > MAX_INSERT_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(email)
        size += own
    if batch:
        yield batch
