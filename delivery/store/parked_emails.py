"""Dead and held emails, found without a look at any other.

While its letter is owed, the index ``owed`` has such an email; from then on ``published`` has it, as it has
what waits in a lane: with the key of the letter's queue in place of a priority.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from pymongo import ASCENDING
from pymongo.database import Database

from delivery.domain.emails import DEFAULT_TENANT
from delivery.domain.lanes import Lane
from delivery.domain.parking import ParkedEmail, Selection
from delivery.domain.states import State
from delivery.store.client import Document, store_errors
from delivery.store.email_documents import history_entry
from delivery.store.indexes import SET

_FIELDS = dict.fromkeys(
    ["tenant_id", "lane", "state", "gen", "attempts", "accepted_at", "updated_at", "reason", "last_error"], 1
)


class ParkedEmails:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._emails = db.emails
        self._tenants = db.tenants

    def find(self, selection: Selection) -> Iterator[ParkedEmail]:
        """Each once; of a lane and a tenant the longest parked first."""
        with store_errors():
            tenants = [selection.tenant_id] if selection.tenant_id else self._tenant_ids()
            lanes = [selection.lane] if selection.lane else list(Lane)
            seen: set[str] = set()
            for lane in lanes:
                owing = {"lane": lane.value, "owed.at": SET, "owed.to": selection.state.value}
                for email in self._found({**owing, **_chosen(selection)}, first="owed.at"):
                    seen.add(email.email_id)  # its letter may be published meanwhile
                    yield email
                for tenant_id in tenants:
                    letter = {
                        "lane": lane.value,
                        "tenant_id": tenant_id,
                        "published.priority": selection.state.value,
                        "published.at": SET,
                    }
                    for email in self._found({**_chosen(selection), **letter}, first="published.at"):
                        if email.email_id not in seen:
                            yield email

    def discard(
        self, state: State, letters: Iterable[tuple[str, int]], *, because: str, now: datetime
    ) -> int:
        """Give these up, each only if it still is parked in that generation; returns how many.

        The state stays. The generation goes up, so that no letter revives one.
        """
        by_gen: dict[int, list[str]] = defaultdict(list)
        for email_id, gen in letters:
            by_gen[gen].append(email_id)
        count = 0
        with store_errors():
            for gen, email_ids in by_gen.items():
                result = self._emails.update_many(
                    {"_id": {"$in": email_ids}, "gen": gen, "state": state.value},
                    {
                        "$set": {
                            "gen": gen + 1,
                            "discarded": {"at": now, "because": because},
                            "updated_at": now,
                        },
                        "$unset": {"owed": "", "published": ""},
                        "$push": history_entry(state, at=now, detail=f"discarded: {because}"),
                    },
                )
                count += result.modified_count
        return count

    def _found(self, query: Document, *, first: str) -> Iterator[ParkedEmail]:
        for document in self._emails.find(query, _FIELDS).sort(first, ASCENDING):
            yield _parked(document)

    def _tenant_ids(self) -> list[str]:
        """Also of those that nobody has created: there is one."""
        return sorted({DEFAULT_TENANT, *(document["_id"] for document in self._tenants.find({}, {"_id": 1}))})


def _chosen(selection: Selection) -> Document:
    parked: Document = {"$lte": selection.until}
    if selection.since is not None:
        parked["$gte"] = selection.since
    query: Document = {"state": selection.state.value, "updated_at": parked}
    if selection.tenant_id is not None:
        query["tenant_id"] = selection.tenant_id
    if selection.reason is not None:
        query["reason"] = selection.reason
    if selection.email_ids is not None:
        query["_id"] = {"$in": list(selection.email_ids)}
    return query


def _parked(document: Document) -> ParkedEmail:
    return ParkedEmail(
        email_id=document["_id"],
        tenant_id=document["tenant_id"],
        lane=Lane(document["lane"]),
        state=State(document["state"]),
        gen=document["gen"],
        attempts=document["attempts"],
        accepted_at=document["accepted_at"],
        parked_at=document["updated_at"],
        reason=document.get("reason"),
        last_error=document.get("last_error"),
    )
