"""Documents and log entries as a run leaves them, so that a test names only what it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from delivery.domain.states import State
from delivery.domain.unknowns import RESENT_BY_POLICY
from tests.chaos.evidence import Evidence

Document = dict[str, Any]

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(seconds=5)
LONG_AGO = NOW - timedelta(minutes=10)


def stored(state: State = State.DELIVERED, *, fault: str = "none", **changes: Any) -> Document:
    """An email's document. history: the states it went through, each with its detail."""
    history = [
        {"state": state, "at": NOW, "detail": detail} for state, detail in changes.pop("history", {}).items()
    ]
    return {
        "_id": "email-1",
        "lane": "transactional",
        "state": state.value,
        "content": {"recipient": f"ann@{fault}.example.com"},
        "history": history,
        **changes,
    }


def call(*, accepted: bool = True, report: str | None = "DELIVERED", result: int | str = 200) -> Document:
    """A submission in the provider's log, with what became of its webhook."""
    webhooks = [{"report": report, "at": 1.0, "result": result}] if accepted and report else []
    return {"request_id": "email-1", "accepted_at": 1.0 if accepted else None, "webhooks": webhooks}


def resent(**changes: Any) -> Document:
    """An email that went out once more because its policy said so."""
    return stored(history={State.UNCONFIRMED: "HTTP 504", State.RETRYING: RESENT_BY_POLICY}, **changes)


def left_behind(*emails: Document, calls: tuple[Document, ...] = (), **changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "accepted": frozenset(email["_id"] for email in emails),
        "emails": emails,
        "submissions": calls,
        "unowed": (),
        "other_answers": {},
        "can_ask": True,
        "now": NOW,
    }
    return Evidence(**{**values, **changes})
