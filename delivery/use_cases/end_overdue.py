"""End what waits in the lanes beyond its time while nobody takes anything out of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.errors import StoreUnavailable
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane, LanePolicy
from delivery.domain.owed import OwedEmail, Written
from delivery.domain.waiting import Over, Waiting, end_of_waiting
from delivery.domain.watermarks import Way

BATCH = 500
"""Looked at in one turn, of each way at most: a million that wait must not be read every second."""

PARTS = 4
"""Turns for all of a way, if little waits there and its lane doesn't wait for hours."""

LONGEST_AT_FIRST = timedelta(minutes=15)
SHORTEST = timedelta(seconds=1)
SHRINK = 16
"""How long a part of a way's time is. It doubles where little waits, and shrinks where there is too much."""


class WaitingEmails(Protocol):
    def waiting(
        self, way: Way, *, since: datetime | None, until: datetime, skip: int, limit: int
    ) -> list[Waiting]: ...

    def end(self, emails: Sequence[Waiting], over: Over, *, now: datetime) -> Written: ...


@dataclass(slots=True)
class Ended:
    """What the emails that ended owe now, and what happened."""

    owed: list[OwedEmail] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the time in which a way's messages came: the next to look at.

    seen: how many that came exactly at ``since`` were seen and wait on. length: of the next part. A part of a
    dense backlog must be short: SecantusDB reads all of it, whatever the limit. is_last: it reaches to what
    was now when it was made.
    """

    since: datetime | None
    seen: int
    until: datetime
    length: timedelta
    is_last: bool = False


class EndOverdue:
    """Goes along each way, each turn one part further, and begins again when it has come to now."""

    def __init__(self, *, emails: WaitingEmails, lanes: Mapping[Lane, LanePolicy]) -> None:
        self._emails = emails
        self._lanes = lanes
        self._lengths: dict[Way, timedelta] = {}
        self._parts: dict[Way, _Part] = {}

    def __call__(self, ways: Iterable[Way], *, away_since: datetime, now: datetime) -> Ended:
        """One turn over these ways, in this order. Raises StoreUnavailable; safe to run twice at once.

        away_since: since when nothing is taken out. What waited longer has waited for us before that.
        """
        ended = Ended()
        for way in ways:
            self._turn(way, ended, away_since=away_since, now=now)
        return ended

    def _turn(self, way: Way, ended: Ended, *, away_since: datetime, now: datetime) -> None:
        part = self._parts.pop(way, None) or self._first(way, now=now)
        try:
            found = self._emails.waiting(way, since=part.since, until=part.until, skip=part.seen, limit=BATCH)
        except StoreUnavailable:  # it may have been too much to read in time
            self._lengths[way] = max(part.length / SHRINK, SHORTEST)
            raise
        over: dict[Over, list[Waiting]] = {}
        waits_on: list[Waiting] = []
        for email in found:
            how = end_of_waiting(
                waiting_since=max(email.waiting_since, away_since),
                expires_at=email.expires_at,
                policy=self._lanes[way.lane],
                now=now,
            )
            (waits_on if how is None else over.setdefault(how, [])).append(email)
        for how, emails in over.items():
            written = self._emails.end(emails, how, now=now)
            ended.owed += written.owed
            ended.happened += [
                _happening(way, email, how, now=now) for email in emails if email.email_id in written.moved
            ]
        following = _part_after(
            part, found, waits_on=waits_on, longest=self._lanes[way.lane].max_wait, now=now
        )
        self._lengths[way] = following.length
        if len(found) == BATCH or not part.is_last:
            self._parts[way] = following

    def _first(self, way: Way, *, now: datetime) -> _Part:
        """What came so long ago that it is over, whatever it is."""
        max_wait = self._lanes[way.lane].max_wait
        length = self._lengths.get(way, min(max_wait / PARTS, LONGEST_AT_FIRST))
        return _Part(None, 0, now - max_wait, length)


def _part_after(
    part: _Part, found: Sequence[Waiting], *, waits_on: Sequence[Waiting], longest: timedelta, now: datetime
) -> _Part:
    """The rest of this part, if it was too much for one turn, or the next one."""
    if len(found) < BATCH:
        length = min(part.length * 2, longest) if len(found) < BATCH / 4 else part.length
        until = min(part.until + length, now)
        return _Part(part.until, 0, until, length, is_last=until == now)
    if not waits_on:
        return part  # all of these are gone from it
    at = found[-1].came_at
    seen_before = part.seen if part.since == at else 0
    seen = seen_before + sum(email.came_at == at for email in waits_on)
    length = max(part.length / SHRINK, SHORTEST)
    until = min(part.until, at + length)
    return _Part(at, seen, until, length, is_last=part.is_last and until == part.until)


def _happening(way: Way, email: Waiting, over: Over, *, now: datetime) -> Happening:
    return Happening(
        tenant_id=email.tenant_id, email_id=email.email_id, lane=way.lane, state=over.state, at=now
    )
