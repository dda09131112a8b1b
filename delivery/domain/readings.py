"""Emails as their tenant reads them: one by one with all that happened, or page by page."""

from dataclasses import dataclass
from datetime import datetime

from delivery.domain.emails import Content, Standing
from delivery.domain.lanes import Lane
from delivery.domain.states import State

MOST_BY_PAGE = 1000
"""Emails, as far as page numbers go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An email came into a state. detail: why, or by whom."""

    state: State
    at: datetime
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailReading:
    """history: what happened since it was accepted, the oldest first; of a long one the newest."""

    standing: Standing
    content: Content
    history: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an email stands among the others of its tenant: by acceptance, then by id."""

    at: datetime
    email_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What of an email decides whether it is on a list, and where. has_recipient: the one that is wanted."""

    place: Place
    state: State
    lane: Lane
    has_recipient: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which emails are wanted; None: whichever. since, until: of their acceptance, both included."""

    states: frozenset[State] | None = None
    lane: Lane | None = None
    recipient: str | None = None
    key: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, email: Listed) -> bool:
        """Whether it is wanted, if it was accepted in time and is of the key."""
        return email.has_recipient and self._takes(email.state, email.lane)

    def takes_reading(self, email: EmailReading) -> bool:
        """Whether it is wanted in every respect but the key."""
        standing = email.standing
        recipients = {address.strip().lower() for address in email.content.recipients}
        return (
            self._takes(standing.state, standing.lane)
            and (self.recipient is None or self.recipient.strip().lower() in recipients)
            and (self.since is None or standing.accepted_at >= self.since)
            and (self.until is None or standing.accepted_at <= self.until)
        )

    def _takes(self, state: State, lane: Lane) -> bool:
        return (self.states is None or state in self.states) and self.lane in (None, lane)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of a list. page: from 1; behind: where the page before ended, which goes before it."""

    limit: int
    page: int = 1
    behind: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailPage:
    """The newest first. count: how many match, of those that were looked at. next: where the next page
    begins, behind this place; None where there is no more."""

    emails: tuple[EmailReading, ...]
    count: int
    next: Place | None = None
