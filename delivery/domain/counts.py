"""How many emails a tenant has, by lane and by what became of them.

Counted in parts of an hour each: what happened to an email at some time is a change of that hour's counts. So
whoever knows the counts at the beginning of an hour, and the changes of each hour since, knows them now.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from operator import attrgetter

from delivery.domain.emails import NewEmail
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.states import State, Status, fold

_what_happened = attrgetter("tenant_id", "lane", "at", "was", "was_unreported", "state")


class Bin(StrEnum):
    """``received`` counts every email; the others are what became of it, and each email is in one of them."""

    RECEIVED = "received"
    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    DEAD = "dead"
    HELD = "held"


_BINS = {Status.PROCESSING: Bin.PENDING, Status.SENT: Bin.SENT, Status.FAILED: Bin.FAILED}
_PARKED = {State.DEAD: Bin.DEAD, State.HELD: Bin.HELD}

Counts = dict[Bin, int]

Tallies = dict[str, dict[str, dict[str, int]]]
"""Numbers by tenant, lane and bin."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose counts, and of which hour (its beginning, UTC)."""

    tenant_id: str
    lane: Lane
    hour: datetime


Changes = dict[tuple[Place, Bin], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What of a stored email tells where it was counted at any time. history: states and since when."""

    email_id: str
    tenant_id: str
    lane: Lane
    state: State
    accepted_at: datetime
    updated_at: datetime
    is_unreported: bool
    discarded_at: datetime | None
    history: Sequence[tuple[State, datetime]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCounts:
    """counted_at: as of then, all emails were counted one by one; None: that has not been done yet."""

    lanes: Mapping[Lane, Counts]
    counted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecountState:
    """A recount of all that was before ``until``.

    todo: from when on a tenant's emails are still to be counted; a tenant that is not there is in.
    beginnings: when each began to send. length: how much time is looked at next. turns: taken so far.
    """

    until: datetime
    todo: Mapping[str, datetime] = field(default_factory=dict)
    beginnings: Mapping[str, datetime] = field(default_factory=dict)
    length: timedelta = timedelta(minutes=10)
    turns: int = 0
    is_done: bool = False
    tallies: Tallies = field(default_factory=dict)


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def bin_of(
    state: State, *, reports_deliveries: bool, is_unreported: bool = False, is_discarded: bool = False
) -> Bin:
    """As GET /status folds states, but that what waits for a person is apart."""
    if state in _PARKED and not is_discarded:
        return _PARKED[state]
    return _BINS[fold(state, provider_reports_deliveries=reports_deliveries, is_unreported=is_unreported)]


def accepted(emails: Iterable[NewEmail]) -> Changes:
    alike = Counter((email.tenant_id, email.request.lane, hour_of(email.accepted_at)) for email in emails)
    changes: Changes = {}
    for (tenant_id, lane, hour), count in alike.items():
        place = Place(tenant_id, lane, hour)
        changes[place, Bin.RECEIVED] = changes[place, Bin.PENDING] = count
    return changes


def happened(happenings: Iterable[Happening], *, reports_deliveries: bool) -> Changes:
    changes: Changes = {}
    for (tenant_id, lane, at, was, was_unreported, state), alike in groupby(happenings, _what_happened):
        before = bin_of(was, reports_deliveries=reports_deliveries, is_unreported=was_unreported)
        after = bin_of(state, reports_deliveries=reports_deliveries)
        if before is not after:
            place, count = Place(tenant_id, lane, hour_of(at)), len(list(alike))
            changes[place, before] = changes.get((place, before), 0) - count
            changes[place, after] = changes.get((place, after), 0) + count
    return changes


def discarded(emails: Mapping[tuple[str, Lane], int], state: State, *, at: datetime) -> Changes:
    """emails: how many, by tenant and lane. They were parked in that state."""
    changes: Changes = {}
    for (tenant_id, lane), count in emails.items():
        place = Place(tenant_id, lane, hour_of(at))
        changes[place, _PARKED[state]] = -count
        changes[place, Bin.FAILED] = count
    return changes


def bin_at(email: Counted, at: datetime, *, reports_deliveries: bool) -> Bin | None:
    """Where the email was counted right before that time; None: it was not there yet."""
    if email.accepted_at >= at:
        return None
    state = email.state
    if email.updated_at >= at:
        before = [state for state, since in email.history if since < at]
        state = before[-1] if before else State.QUEUED
    return bin_of(
        state,
        reports_deliveries=reports_deliveries,
        is_unreported=email.is_unreported,
        is_discarded=email.discarded_at is not None and email.discarded_at < at,
    )
