"""What is left of a finished run: the store's documents, the broker's messages, the provider's log."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from delivery.domain.lanes import Lane, OnUnknown
from delivery.domain.states import State

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """accepted: the request_ids that callers were told. emails: the documents. submissions: the provider's
    log. unowed: what waits for a message that nobody owes and no queue has (tests/harness/owed.py).

    other_answers: what else callers heard, by HTTP status, before they sent the same again and were told.
    can_ask: whether the provider's status endpoint answered. patience: how long a next step may be overdue.
    """

    accepted: Collection[str]
    emails: Sequence[Document]
    submissions: Sequence[Document]
    unowed: Sequence[str]
    other_answers: Mapping[str, int]
    can_ask: bool
    now: datetime
    patience: timedelta = timedelta(seconds=60)


def policy(email: Document) -> OnUnknown:
    """What is done with the email when nobody knows, by its own word or its lane's."""
    said: str | None = email.get("on_unknown")
    if said is not None:
        return OnUnknown(said)
    return OnUnknown.RESEND if email["lane"] == Lane.CRITICAL else OnUnknown.HOLD


def entries(email: Document, state: State) -> list[Document]:
    """The entries of its history that say it came into this state."""
    return [entry for entry in email["history"] if entry["state"] == state]


def acceptances(submissions: Sequence[Document]) -> int:
    return sum(submission["accepted_at"] is not None for submission in submissions)


def reports_taken(submissions: Sequence[Document]) -> set[str]:
    """What the provider reported and the API took: DELIVERED, REJECTED, FAILED."""
    return {
        webhook["report"]
        for submission in submissions
        for webhook in submission["webhooks"]
        if isinstance(webhook["result"], int) and 200 <= webhook["result"] < 300
    }


def by_request_id(submissions: Sequence[Document]) -> Mapping[str, list[Document]]:
    found: dict[str, list[Document]] = {}
    for submission in submissions:
        found.setdefault(submission["request_id"], []).append(submission)
    return found
