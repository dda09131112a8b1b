"""End what waits in the lanes beyond its time while nobody takes anything out of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane, LanePolicy
from delivery.domain.owed import OwedEmail, Written
from delivery.domain.waiting import Over, Waiting, end_of_waiting
from delivery.domain.watermarks import WAYS, Way

BATCH = 500
"""Looked at in one turn, of each way at most: a million that wait must not be read every second."""


class WaitingEmails(Protocol):
    def waiting(
        self, way: Way, *, since: datetime | None, skip: int, now: datetime, limit: int
    ) -> list[Waiting]: ...

    def end(self, emails: Sequence[Waiting], over: Over, *, now: datetime) -> Written: ...


@dataclass(slots=True)
class Ended:
    """What the emails that ended owe now, and what happened."""

    owed: list[OwedEmail] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a look has come in a way: to this time, of which so many that still wait were seen."""

    at: datetime
    seen: int


class EndOverdue:
    """Goes round the lanes, each turn one batch further, and begins again at a lane's end."""

    def __init__(self, *, emails: WaitingEmails, lanes: Mapping[Lane, LanePolicy]) -> None:
        self._emails = emails
        self._lanes = lanes
        self._places: dict[Way, _Place] = {}

    def __call__(self, *, now: datetime) -> Ended:
        """One turn, the most urgent way first. Raises StoreUnavailable; safe to run twice at once."""
        ended = Ended()
        for way in WAYS:
            self._turn(way, ended, now=now)
        return ended

    def _turn(self, way: Way, ended: Ended, *, now: datetime) -> None:
        place = self._places.pop(way, None)
        since, skip = (place.at, place.seen) if place else (None, 0)
        found = self._emails.waiting(way, since=since, skip=skip, now=now, limit=BATCH)
        over: dict[Over, list[Waiting]] = {}
        waits_on: list[Waiting] = []
        for email in found:
            how = self._over(way, email, now=now)
            (waits_on if how is None else over.setdefault(how, [])).append(email)
        for how, emails in over.items():
            written = self._emails.end(emails, how, now=now)
            ended.owed += written.owed
            ended.happened += [
                _happening(way, email, how, now=now) for email in emails if email.email_id in written.moved
            ]
        if len(found) == BATCH:
            self._places[way] = _place_after(found, waits_on=waits_on, before=place)

    def _over(self, way: Way, email: Waiting, *, now: datetime) -> Over | None:
        return end_of_waiting(
            waiting_since=email.waiting_since,
            expires_at=email.expires_at,
            policy=self._lanes[way.lane],
            now=now,
        )


def _place_after(found: Sequence[Waiting], *, waits_on: Sequence[Waiting], before: _Place | None) -> _Place:
    """Many may have come at one and the same time: those of it that were seen and still wait are skipped."""
    at = found[-1].came_at
    seen_before = before.seen if before is not None and before.at == at else 0
    return _Place(at, seen_before + sum(email.came_at == at for email in waits_on))


def _happening(way: Way, email: Waiting, over: Over, *, now: datetime) -> Happening:
    return Happening(
        tenant_id=email.tenant_id, email_id=email.email_id, lane=way.lane, state=over.state, at=now
    )
