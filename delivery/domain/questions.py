"""Open questions: what is not known about an email that a provider has, and when to ask about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from delivery.domain.lanes import Lane


class About(StrEnum):
    """What is asked; unknown outcomes go before overdue reports."""

    OUTCOME = "outcome"
    REPORT = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPolicy:
    """When a provider's status endpoint is asked, and what its silence is worth.

    offsets: when to ask about an outcome, counted from the call; lane_offsets: the same for lanes that have
    their own. late_accept: how long after a call's end the provider was seen to accept it still; "never seen"
    counts only when asked after that. report_overdue: how long after its acceptance an email's report is
    missing (None: this provider reports nothing). calls_per_minute: in any sliding 60 s.
    """

    offsets: tuple[timedelta, ...]
    late_accept: timedelta
    report_overdue: timedelta | None
    calls_per_minute: int
    lane_offsets: Mapping[Lane, tuple[timedelta, ...]] = field(default_factory=dict)

    def of_lane(self, lane: Lane) -> Self:
        """The same with the lane's own offsets, if it has any."""
        return replace(self, offsets=self.lane_offsets[lane]) if lane in self.lane_offsets else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """asked_from: what the offsets count from. ended_at: when the call ended at the latest. checks: how often
    it was asked. check_at: when to ask next, if ever. decide_at: when the lane's policy decides, if ever."""

    about: About
    asked_from: datetime
    ended_at: datetime
    checks: int
    check_at: datetime | None
    decide_at: datetime | None


def outcome_question(
    *, called_at: datetime, ended_at: datetime, deadline: timedelta, policy: CheckPolicy, now: datetime
) -> Question:
    """What is asked about an email whose outcome is unknown."""
    return Question(
        about=About.OUTCOME,
        asked_from=called_at,
        ended_at=ended_at,
        checks=0,
        check_at=next_check(called_at, checks=0, policy=policy, now=now),
        decide_at=called_at + deadline,
    )


def report_question(*, submitted_at: datetime, policy: CheckPolicy) -> Question | None:
    """What is asked about an email whose report does not come. The first check is due when it is overdue."""
    if policy.report_overdue is None or not policy.offsets:
        return None
    overdue_at = submitted_at + policy.report_overdue
    return Question(
        about=About.REPORT,
        asked_from=overdue_at - policy.offsets[0],
        ended_at=submitted_at,
        checks=0,
        check_at=overdue_at,
        decide_at=None,
    )


def next_check(asked_from: datetime, *, checks: int, policy: CheckPolicy, now: datetime) -> datetime | None:
    """The next offset that was not used. One that has passed is made up for: the first at once, a later one
    no sooner after the check before it than the first offset is after the call.
    """
    if checks >= len(policy.offsets):
        return None
    earliest = now + policy.offsets[0] if checks else now
    return max(asked_from + policy.offsets[checks], earliest)
