"""The collection ``counts``: per tenant one document an hour with its changes, and one with what was before.

That one, the base, comes behind all hours in the index. A recount writes the base first and deletes the hours
in it after that. So whoever reads in the order of the index and counts no hour before the base's, has each
change once. SecantusDB serves no range of ids from their index, so there is none of them here.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
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
AFTER_ALL_HOURS = datetime(9999, 1, 1, tzinfo=UTC)

EARLIER = timedelta(days=1)
"""So long before its first hour a tenant's emails are looked for: the counts of earlier ones may be lost."""

_BEGINNING = {"tenant_id": 1, "hour": 1, "began_at": 1}
RECOUNT = "recount"
"""Other ids have a space in them."""

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
                {"$inc": increments, "$setOnInsert": {"tenant_id": tenant_id, "hour": hour}},
                upsert=True,
            )
            for (tenant_id, hour), increments in by_hour.items()
        ]
        with store_errors():
            self._counts.bulk_write(updates, ordered=False)

    def of_tenant(self, tenant_id: str) -> TenantCounts:
        """One call, whose cost is the number of hours since the last recount."""
        with store_errors():
            found = list(self._counts.find({"tenant_id": tenant_id}).sort("hour", ASCENDING))
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
            until=found["until"],
            todo=found["todo"],
            beginnings=found["beginnings"],
            length=timedelta(seconds=found["length_s"]),
            turns=found["turns"],
            is_done=found["is_done"],
            tallies=found["tallies"],
        )

    def beginnings(self) -> dict[str, datetime]:
        """When the tenants of whom anything was counted began to send, or some time before."""
        first: dict[str, datetime] = {}
        with store_errors():
            for document in self._counts.find({"tenant_id": {"$exists": True}}, _BEGINNING):
                at = document.get("began_at", document["hour"] - EARLIER)
                first[document["tenant_id"]] = min(at, first.get(document["tenant_id"], at))
        return first

    def accepted(self, tenant_id: str, *, since: datetime, until: datetime) -> list[Counted]:
        """What a tenant's emails are that were accepted in this time, by the index that lists them."""
        query = {"tenant_id": tenant_id, "accepted_at": {"$gte": since, "$lt": until}}
        with store_errors():
            return [_counted(document) for document in self._emails.find(query, _FIELDS)]

    def save(self, before: RecountState | None, now: RecountState) -> bool:
        """False if another process was quicker; it counted the same."""
        document = {
            "until": now.until,
            "todo": dict(now.todo),
            "beginnings": dict(now.beginnings),
            "length_s": now.length.total_seconds(),
            "turns": now.turns,
            "is_done": now.is_done,
            "tallies": now.tallies,
        }
        with store_errors():
            if before is None:
                result = self._counts.update_one({"_id": RECOUNT}, {"$setOnInsert": document}, upsert=True)
                return result.upserted_id is not None
            seen = {"_id": RECOUNT, "until": before.until, "turns": before.turns, "is_done": before.is_done}
            return self._counts.update_one(seen, {"$set": document}).matched_count == 1

    def rebase(self, tallies: Tallies, *, until: datetime, beginnings: Mapping[str, datetime]) -> None:
        """Count from here on. Safe to repeat."""
        bases = [
            ReplaceOne(
                {"_id": f"{tenant_id} {BASE}"},
                {
                    "tenant_id": tenant_id,
                    "hour": AFTER_ALL_HOURS,
                    "until": until,
                    "began_at": began_at,
                    "lanes": _lanes(tallies.get(tenant_id, {})),
                },
                upsert=True,
            )
            for tenant_id, began_at in beginnings.items()
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
