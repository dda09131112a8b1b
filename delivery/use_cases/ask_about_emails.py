"""Ask the provider about emails whose outcome is unknown or whose report is overdue, within its budget."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.call_budget import CallBudget
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane, LanePolicy
from delivery.domain.owed import OwedEmail, Written
from delivery.domain.questions import About, CheckPolicy
from delivery.domain.unknowns import Found, Questionable, Verdict, after_check

LONGEST_HESITATION = timedelta(seconds=2)
"""How long after it was allowed a call may leave. The budget bears that; a process that slept longer must not
come after calls that others were allowed since."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """What the provider's status endpoint said. pause: it wants to be left alone for so long."""

    found: Found
    pause: timedelta | None = None


class StatusEndpoint(Protocol):
    """Never raises for what the provider did: that is the answer."""

    async def look_up(self, email_id: str) -> LookUp: ...


class OpenQuestions(Protocol):
    def due(self, about: About, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]: ...

    def conclude(self, verdicts: Sequence[tuple[Questionable, Verdict]]) -> Written: ...


class Budgets(Protocol):
    def take(self, provider: str, wanted: int, *, budget: CallBudget, now: datetime) -> int: ...

    def pause(self, provider: str, *, until: datetime) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked and concluded in one turn."""

    asked: int = 0
    pause: timedelta | None = None
    owed: list[OwedEmail] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)


async def ask_about_emails(
    *,
    provider_name: str,
    provider: StatusEndpoint,
    questions: OpenQuestions,
    budgets: Budgets,
    lanes: Mapping[Lane, LanePolicy],
    policy: CheckPolicy,
    clock: Callable[[], datetime],
) -> Asked:
    """One turn: as many as the budget allows at this moment, the most urgent first.

    Raises StoreUnavailable.
    """
    budget = CallBudget(policy.calls_per_minute)
    due = await asyncio.to_thread(_most_urgent, questions, now=clock(), limit=budget.burst)
    if not due:
        return Asked()
    allowed_at = clock()
    allowed = await asyncio.to_thread(budgets.take, provider_name, len(due), budget=budget, now=allowed_at)
    asked_at = clock()
    if asked_at - allowed_at > LONGEST_HESITATION:
        return Asked()
    asked = due[:allowed]
    answers = await asyncio.gather(*(provider.look_up(email.email_id) for email in asked))
    verdicts = [
        (email, _after_check(email, answer.found, lanes=lanes, policy=policy, now=asked_at))
        for email, answer in zip(asked, answers, strict=True)
    ]
    pauses = [answer.pause for answer in answers if answer.pause is not None]
    if pauses:
        await asyncio.to_thread(budgets.pause, provider_name, until=clock() + max(pauses))
    written = await asyncio.to_thread(questions.conclude, verdicts)
    return Asked(
        asked=len(asked),
        pause=max(pauses, default=None),
        owed=written.owed,
        happened=happenings_of(verdicts, moved=written.moved),
    )


def _after_check(
    email: Questionable, found: Found, *, lanes: Mapping[Lane, LanePolicy], policy: CheckPolicy, now: datetime
) -> Verdict:
    return after_check(email, found, lane=lanes[email.lane], policy=policy.of_lane(email.lane), now=now)


def happenings_of(
    verdicts: Sequence[tuple[Questionable, Verdict]], *, moved: frozenset[str]
) -> list[Happening]:
    """What verdicts did to the emails that they moved; of the others somebody else has told."""
    return [
        Happening(
            tenant_id=email.tenant_id,
            email_id=email.email_id,
            lane=email.lane,
            state=verdict.state,
            at=verdict.at,
        )
        for email, verdict in verdicts
        if verdict.state is not None and email.email_id in moved
    ]


def _most_urgent(questions: OpenQuestions, *, now: datetime, limit: int) -> list[Questionable]:
    found: list[Questionable] = []
    for about in About:
        for lane in Lane:
            if len(found) < limit:
                found += questions.due(about, lane, now=now, limit=limit - len(found))
    return found
