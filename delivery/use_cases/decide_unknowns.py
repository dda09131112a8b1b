"""Decide, by the lane's policy, about emails of which nobody spoke until their deadline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane, LanePolicy
from delivery.domain.owed import OwedEmail
from delivery.domain.states import State
from delivery.domain.unknowns import Questionable, Verdict, at_deadline
from delivery.use_cases.ask_about_emails import happenings_of

BATCH = 500


class Undecided(Protocol):
    def undecided(self, *, now: datetime, limit: int) -> list[Questionable]: ...

    def conclude(self, verdicts: Sequence[tuple[Questionable, Verdict]]) -> list[OwedEmail]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was decided in one turn, by state, and what the emails owe now."""

    counts: dict[State, int] = field(default_factory=dict)
    owed: list[OwedEmail] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)


def decide_unknowns(*, questions: Undecided, lanes: Mapping[Lane, LanePolicy], now: datetime) -> Decided:
    """One turn over at most a batch. Raises StoreUnavailable; safe to repeat, and to run twice at once."""
    emails = questions.undecided(now=now, limit=BATCH)
    verdicts = [(email, at_deadline(email, lane=lanes[email.lane], now=now)) for email in emails]
    owed = questions.conclude(verdicts)
    counts: dict[State, int] = {}
    for _, verdict in verdicts:
        if verdict.state is not None:
            counts[verdict.state] = counts.get(verdict.state, 0) + 1
    return Decided(counts=counts, owed=owed, happened=happenings_of(verdicts))
