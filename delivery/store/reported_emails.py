"""Writing what providers reported into the emails."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from pymongo.database import Database

from delivery.domain.emails import Standing
from delivery.domain.recipients import RecipientReport
from delivery.domain.reports import REASONS
from delivery.domain.states import State
from delivery.store.client import Document, store_errors
from delivery.store.email_documents import history_entry


class ReportedEmails:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._emails = db.emails

    def apply(self, changes: Sequence[tuple[Standing, State]], *, now: datetime) -> bool:
        """Move emails to the reported states; False when one of them was no longer where it stood.

        Conditional on the state and the calls that the decision was made for. A reported state owes nothing,
        and has the report for its reason where it is a failure: why the email was in another one is past.
        A call that is out counts as an attempt: its answer will find the email settled.
        """
        alike: dict[tuple[State, int, State], list[str]] = defaultdict(list)
        for standing, state in changes:
            alike[standing.state, standing.calls, state].append(standing.email_id)
        complete = True
        with store_errors():
            for (seen, calls, state), email_ids in alike.items():
                result = self._emails.update_many(
                    {"_id": {"$in": email_ids}, "state": seen.value, "calls": calls},
                    _moving(seen, state, now=now),
                )
                complete = complete and result.matched_count == len(email_ids)
        return complete

    def apply_to_recipient(self, item: RecipientReport, *, standing: Standing, state: State | None) -> bool:
        """Note what was reported about one of several recipients, and move their email if that does.

        False when the email was no longer where it stood, or another report had been noted.
        """
        seen = standing.state
        fence = {
            "_id": standing.email_id,
            "state": seen.value,
            "calls": standing.calls,
            "reports": len(standing.reported),
        }
        update: Document = (
            {"$set": {"updated_at": item.at}} if state is None else _moving(seen, state, now=item.at)
        )
        noted = {"recipient": item.recipient, "report": item.report.value, "at": item.at}
        update["$push"] = {**update.get("$push", {}), "reported": noted}
        update["$inc"] = {**update.get("$inc", {}), "reports": 1}
        with store_errors():
            return self._emails.update_many(fence, update).matched_count == 1


def _moving(seen: State, state: State, *, now: datetime) -> Document:
    values: Document = {"state": state.value, "updated_at": now}
    past = {"owed": "", "published": "", "question": ""}
    if state in REASONS:
        values["reason"] = REASONS[state]
    else:
        past["reason"] = ""
    return {
        "$set": values,
        "$unset": past,
        "$inc": {"attempts": 1 if seen is State.SUBMITTING else 0},
        "$push": history_entry(state, at=now, detail="reported by the provider"),
    }
