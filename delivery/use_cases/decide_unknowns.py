"""Decide about emails of which nobody spoke until their deadline, without the provider's word."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane, LanePolicy
from delivery.domain.owed import OwedEmail, Written
from delivery.domain.questions import About, CheckPolicy
from delivery.domain.states import State
from delivery.domain.unknowns import Questionable, Verdict, at_deadline, passed_over
from delivery.use_cases.ask_about_emails import happenings_of

BATCH = 100
"""Small, so that an answer which comes between the look and the write is rarely too late."""


class Undecided(Protocol):
    def undecided(self, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]: ...

    def due(self, about: About, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]: ...

    def conclude(self, verdicts: Sequence[tuple[Questionable, Verdict]]) -> Written: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was decided in one batch, by state, and what the emails owe now.

    unreported: emails whose overdue report could not be asked for in time. is_full: there may be more.
    """

    counts: dict[State, int] = field(default_factory=dict)
    unreported: int = 0
    owed: list[OwedEmail] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)
    is_full: bool = False


def decide_unknowns(
    *, questions: Undecided, lanes: Mapping[Lane, LanePolicy], policy: CheckPolicy, now: datetime
) -> Decided:
    """At most a batch of each kind, the most urgent lanes first: unknown outcomes by their lane's policy,
    overdue reports that waited in vain for all the time that their checks would have taken.

    Raises StoreUnavailable; safe to repeat, and to run twice at once.
    """
    emails = _undecided(questions, now=now)
    verdicts = [(email, at_deadline(email, lane=lanes[email.lane], now=now)) for email in emails]
    unasked = _unasked(questions, policy=policy, now=now)
    verdicts += [(email, passed_over(email, policy=policy.of_lane(email.lane), now=now)) for email in unasked]
    written = questions.conclude(verdicts)
    happened = happenings_of(verdicts, moved=written.moved)
    return Decided(
        counts=Counter(happening.state for happening in happened),
        unreported=len(unasked),
        owed=written.owed,
        happened=happened,
        is_full=BATCH in (len(emails), len(unasked)),
    )


def _undecided(questions: Undecided, *, now: datetime) -> list[Questionable]:
    found: list[Questionable] = []
    for lane in Lane:
        if len(found) < BATCH:
            found += questions.undecided(lane, now=now, limit=BATCH - len(found))
    return found


def _unasked(questions: Undecided, *, policy: CheckPolicy, now: datetime) -> list[Questionable]:
    found: list[Questionable] = []
    for lane in Lane:
        offsets = policy.of_lane(lane).offsets
        if offsets and len(found) < BATCH:
            due_since = now - offsets[-1]
            found += questions.due(About.REPORT, lane, now=due_since, limit=BATCH - len(found))
    return found
