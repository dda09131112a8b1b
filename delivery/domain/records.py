"""An email as an operator sees it: everything that is known of it."""

from dataclasses import dataclass
from datetime import datetime

from delivery.domain.emails import Content
from delivery.domain.lanes import Lane
from delivery.domain.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    state: State
    at: datetime
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailRecord:
    """owes: where its next message is to go, while that is not published."""

    email_id: str
    tenant_id: str
    lane: Lane
    priority: int
    state: State
    gen: int
    attempts: int
    calls: int
    accepted_at: datetime
    updated_at: datetime
    due_at: datetime
    expires_at: datetime | None
    reason: str | None
    last_error: str | None
    is_unreported: bool
    owes: str | None
    content: Content
    history: tuple[HistoryEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Emails of which all that is given here holds; since, until: of their acceptance."""

    tenant_id: str | None = None
    lane: Lane | None = None
    state: State | None = None
    recipient: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    email_ids: tuple[str, ...] | None = None
