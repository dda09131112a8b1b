"""An email as an operator sees it: everything that is known of it."""

from dataclasses import dataclass
from datetime import datetime

from delivery.domain.lanes import Lane
from delivery.domain.readings import EmailReading
from delivery.domain.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailRecord:
    """What its tenant reads of it, and more. owes: where its next message is to go, while that is not
    published."""

    reading: EmailReading
    priority: int
    last_error: str | None
    owes: str | None


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
