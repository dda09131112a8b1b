"""Emails that wait in their lanes for longer than they may: found in the order they came, and ended there."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from pymongo import ASCENDING
from pymongo.database import Database

from delivery.domain.owed import Written
from delivery.domain.states import CLAIMABLE
from delivery.domain.waiting import Over, Waiting
from delivery.domain.watermarks import Way
from delivery.store.client import Document, store_errors
from delivery.store.email_documents import OWED_FIELDS, history_entry, owed_document, owed_of
from delivery.store.indexes import SET
from delivery.store.waiting_emails import published

_FIELDS = dict.fromkeys(["tenant_id", "gen", "published", "waiting_since", "expires_at"], 1)
_WAITING = sorted(state.value for state in CLAIMABLE)


class OverdueEmails:
    """Every method raises StoreUnavailable when the store is away, and may be repeated then."""

    def __init__(self, db: Database[Document]) -> None:
        self._emails = db.emails

    def waiting(
        self, way: Way, *, since: datetime | None, until: datetime, skip: int, limit: int
    ) -> list[Waiting]:
        """What came in on this way in this time, in the order it came, without the first ``skip``."""
        came = {**SET, "$lte": until} if since is None else {**SET, "$gte": since, "$lte": until}
        with store_errors():
            found = self._emails.find(published(way, came), _FIELDS).sort("published.at", ASCENDING)
            return [_waiting(document) for document in found.skip(skip).limit(limit)]

    def end(self, emails: Sequence[Waiting], over: Over, *, now: datetime) -> Written:
        """End these, each only if it still waits as it was seen."""
        by_gen: dict[int, list[str]] = defaultdict(list)
        for email in emails:
            by_gen[email.gen].append(email.email_id)
        found: list[Document] = []
        with store_errors():
            for gen, email_ids in by_gen.items():
                self._emails.update_many(
                    {"_id": {"$in": email_ids}, "gen": gen, "state": {"$in": _WAITING}},
                    _ending(over, gen=gen, now=now),
                )
                ended = {"_id": {"$in": email_ids}, "gen": _gen_after(over, gen), "state": over.state.value}
                found += self._emails.find(ended, OWED_FIELDS)
        return Written(
            moved=frozenset(document["_id"] for document in found),
            owed=[owed_of(document) for document in found if "owed" in document],
        )


def _gen_after(over: Over, gen: int) -> int:
    return gen if over.owed is None else gen + 1


def _ending(over: Over, *, gen: int, now: datetime) -> Document:
    values: Document = {"state": over.state.value, "updated_at": now, "reason": over.reason}
    gone = {"published": ""}
    if over.owed is not None:
        values |= {"gen": _gen_after(over, gen), "owed": owed_document(over.owed, gen=gen + 1, at=now)}
    else:
        gone["owed"] = ""
    return {"$set": values, "$unset": gone, "$push": history_entry(over.state, at=now)}


def _waiting(document: Document) -> Waiting:
    return Waiting(
        email_id=document["_id"],
        tenant_id=document["tenant_id"],
        gen=document["gen"],
        came_at=document["published"]["at"],
        waiting_since=document["waiting_since"],
        expires_at=document.get("expires_at"),
    )
