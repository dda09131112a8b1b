"""The collection ``counts``: per tenant one document an hour with its changes, and one with what was before.

The ids begin with the tenant's: ``acme 2030-01-31T12``, and ``acme base``, which sorts behind all hours. A
recount writes the base first and deletes the hours in it after that. So whoever reads in the order of the ids
and counts no hour before the base's, has each change once.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, ReplaceOne, UpdateOne
from pymongo.database import Database

from delivery.domain.counts import (
    Bin,
    Changes,
    Counted,
    Counts,
    RecountState,
    Tallies,
    TenantCounts,
)
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from delivery.store.client import Document, store_errors

BASE = "base"
RECOUNT = " recount"
"""No tenant's: a name has no space."""

_COUNTED = ["tenant_id", "lane", "state", "accepted_at", "updated_at", "unreported", "discarded.at"]
_FIELDS = dict.fromkeys([*_COUNTED, "history.state", "history.at"], 1)


class StoredCounts:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._counts = db.counts
        self._emails = db.emails

    def add(self, changes: Changes) -> None:
        """Not to be repeated when its outcome is unknown."""
        by_hour: dict[tuple[str, datetime], dict[str, int]] = defaultdict(dict)
        for (place, each), by in changes.items():
            by_hour[place.tenant_id, place.hour][f"lanes.{place.lane}.{each}"] = by
        updates = [
            UpdateOne(
                {"_id": f"{tenant_id} {hour:%Y-%m-%dT%H}"},
                {"$inc": increments, "$setOnInsert": {"hour": hour}},
                upsert=True,
            )
            for (tenant_id, hour), increments in by_hour.items()
        ]
        with store_errors():
            self._counts.bulk_write(updates, ordered=False)

    def of_tenant(self, tenant_id: str) -> TenantCounts:
        """One call, whose cost is the number of hours since the last recount."""
        within = {"$gte": f"{tenant_id} ", "$lt": f"{tenant_id}!"}  # "!" is next to the space
        with store_errors():
            found = list(self._counts.find({"_id": within}).sort("_id", ASCENDING))
        base = next((document for document in found if "until" in document), None)
        until: datetime | None = base["until"] if base is not None else None
        lanes: dict[Lane, Counts] = {lane: dict.fromkeys(Bin, 0) for lane in Lane}
        for document in found:
            if document is base or until is None or document["hour"] >= until:
                for lane, bins in document.get("lanes", {}).items():
                    for each, count in bins.items():
                        lanes[Lane(lane)][Bin(each)] += count
        return TenantCounts(lanes=lanes, counted_at=until)

    def recount(self) -> RecountState | None:
        with store_errors():
            found = self._counts.find_one({"_id": RECOUNT})
        if found is None:
            return None
        return RecountState(
            until=found["until"], after=found["after"], is_done=found["is_done"], tallies=found["tallies"]
        )

    def page(self, *, after: str, limit: int) -> list[Counted]:
        """Emails by id, of whatever tenant."""
        with store_errors():
            found = self._emails.find({"_id": {"$gt": after}}, _FIELDS).sort("_id", ASCENDING).limit(limit)
            return [_counted(document) for document in found]

    def save(self, before: RecountState | None, now: RecountState) -> bool:
        """False if another process was quicker; it counted the same."""
        document = {
            "until": now.until,
            "after": now.after,
            "is_done": now.is_done,
            "tallies": now.tallies,
        }
        with store_errors():
            if before is None:
                result = self._counts.update_one({"_id": RECOUNT}, {"$setOnInsert": document}, upsert=True)
                return result.upserted_id is not None
            seen = {"_id": RECOUNT, "until": before.until, "after": before.after, "is_done": before.is_done}
            return self._counts.update_one(seen, {"$set": document}).matched_count == 1

    def rebase(self, tallies: Tallies, *, until: datetime) -> None:
        """Count from here on. Safe to repeat."""
        bases = [
            ReplaceOne({"_id": f"{tenant_id} {BASE}"}, {"until": until, "lanes": _lanes(lanes)}, upsert=True)
            for tenant_id, lanes in tallies.items()
        ]
        with store_errors():
            if bases:
                self._counts.bulk_write(bases, ordered=False)
            self._counts.delete_many({"hour": {"$lt": until}})


def _lanes(lanes: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    return {lane: dict(bins) for lane, bins in lanes.items()}


def _counted(document: Document) -> Counted:
    return Counted(
        email_id=document["_id"],
        tenant_id=document["tenant_id"],
        lane=Lane(document["lane"]),
        state=State(document["state"]),
        accepted_at=document["accepted_at"],
        updated_at=document["updated_at"],
        is_unreported=document.get("unreported", False),
        discarded_at=document.get("discarded", {}).get("at"),
        history=[(State(entry["state"]), entry["at"]) for entry in document.get("history", [])],
    )
