"""What is to come for an email that has not ended; docs/states.md names who takes it further."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from delivery.domain.states import State

Document = dict[str, Any]

S = State

STEPS: Mapping[State, Mapping[str, str]] = {
    S.SCHEDULED: {"due_at": "its time comes"},
    S.QUEUED: {"owed.at": "the relay publishes", "published.at": "a consumer claims it from its lane"},
    S.RETRYING: {"owed.at": "the relay publishes", "published.at": "its delay ends in its lane"},
    S.SUBMITTING: {"claim.until": "its call or its lease ends"},
    S.UNCONFIRMED: {"question.check_at": "the provider is asked", "question.decide_at": "its policy decides"},
    S.SUBMITTED: {"question.check_at": "the provider is asked for its report"},
}
"""State -> where its document has the time of a step -> what happens then. Other states have ended."""


def has_ended(email: Document) -> bool:
    """A report that never came, however often it was asked for, is an end, too."""
    return email["state"] not in STEPS or (email["state"] == S.SUBMITTED and email.get("unreported", False))


def next_step(email: Document, *, now: datetime, patience: timedelta) -> str | None:
    """What happens next to an email that has not ended; None if nothing does.

    A step that has been overdue for longer than `patience` is one that nobody takes.
    """
    for field, step in STEPS[State(email["state"])].items():
        at = _read(email, field)
        if isinstance(at, datetime) and at >= now - patience:
            return step
    return None


def _read(email: Document, field: str) -> object:
    value: object = email
    for name in field.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
