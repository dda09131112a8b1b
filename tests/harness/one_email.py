"""A store with one email in memory, with the methods of the real collections and their conditions.

tests/unit runs event orders over it alone, by the thousand; tests/integration runs the same over the real
store beside it, and both must agree at every step.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from delivery.domain.clocks import CLOCK_MARGIN
from delivery.domain.emails import ClaimedEmail, NewEmail, Standing
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, OwedTo, Written
from delivery.domain.questions import About, CheckPolicy, Question, outcome_question
from delivery.domain.recipients import RecipientReport
from delivery.domain.settlement import Settlement
from delivery.domain.states import CLAIMABLE, REVIVABLE, State
from delivery.domain.unknowns import Questionable, Verdict
from delivery.domain.waiting import Over, Waiting

OPEN = (State.SUBMITTING, State.UNCONFIRMED)


@dataclass(slots=True)
class Stored:
    """The document, as far as states depend on it."""

    new: NewEmail
    due_at: datetime
    waiting_since: datetime
    updated_at: datetime
    state: State = State.QUEUED
    gen: int = 1
    attempts: int = 0
    calls: int = 0
    waits: int = 0
    unreported: bool = False
    owed: OwedTo | None = OwedTo.LANE
    may_be_sent: bool = False
    claim: tuple[str, datetime, datetime] | None = None
    question: Question | None = None
    states: list[State] = field(default_factory=lambda: [State.QUEUED])


class OneEmail:
    def __init__(self, new: NewEmail) -> None:
        at, send_at = new.accepted_at, new.request.send_at
        self.email = Stored(new=new, due_at=send_at or at, waiting_since=at, updated_at=at)
        if send_at is not None:
            self.email.state, self.email.owed, self.email.states = State.SCHEDULED, None, [State.SCHEDULED]

    # claims

    def claim(
        self, email_ids: Sequence[str], *, gen: int, token: str, until: datetime, now: datetime
    ) -> list[ClaimedEmail]:
        email = self.email
        expires_at = email.new.request.expires_at
        is_due = email.due_at <= now + CLOCK_MARGIN and not (expires_at is not None and expires_at <= now)
        if email.gen == gen and email.state in CLAIMABLE and is_due:
            self._move(State.SUBMITTING, now)
            email.claim, email.owed = (token, now, until), None
            email.calls += 1
        if email.claim is None or email.claim[0] != token or email.state not in OPEN:
            return []
        return [self._claimed(email.claim)]

    def expire(self, email_ids: Sequence[str], *, now: datetime) -> list[str]:
        expires_at = self.email.new.request.expires_at
        if self.email.state in CLAIMABLE and expires_at is not None and expires_at <= now:
            self._move(State.EXPIRED, now)
            self.email.owed = None
        is_moved = (self.email.state, self.email.updated_at) == (State.EXPIRED, now)
        return list(email_ids) if is_moved else []

    def settle(self, settled: Sequence[tuple[ClaimedEmail, Settlement]]) -> Written:
        ((claimed, settlement),) = settled
        states = OPEN[:1] if settlement.state is State.UNCONFIRMED else OPEN
        email = self.email
        if self._is_held_by(claimed) and email.state in states:
            self._move(settlement.state, settlement.at)
            email.attempts, email.waits = settlement.attempts, settlement.waits
            email.due_at = settlement.due_at or email.due_at
            email.waiting_since = settlement.waiting_since or email.waiting_since
            email.question = settlement.question
            email.calls -= int(not settlement.was_called)
            self._owe(settlement.owed)
        is_moved = (email.state, email.updated_at) == (settlement.state, settlement.at)
        return self._result(is_moved=is_moved)

    def give_back(self, claimed: Sequence[ClaimedEmail], *, now: datetime) -> list[OwedEmail]:
        ((back),) = claimed
        email = self.email
        if self._is_held_by(back) and email.state in OPEN:
            ran_out = email.state is State.UNCONFIRMED
            self._move(State.RETRYING if ran_out else State.QUEUED, now)
            email.calls -= 1
            email.attempts -= int(ran_out)
            email.claim = email.question = None
            self._owe(OwedTo.LANE)
        return self.owing([])

    def as_waiting(self, came_at: datetime) -> Waiting:
        email = self.email
        return Waiting(
            email_id=email.new.email_id,
            tenant_id=email.new.tenant_id,
            gen=email.gen,
            came_at=came_at,
            waiting_since=email.waiting_since,
            expires_at=email.new.request.expires_at,
        )

    def end(self, emails: Sequence[Waiting], over: Over, *, now: datetime) -> Written:
        (seen,) = emails
        email = self.email
        if email.gen == seen.gen and email.state in CLAIMABLE:
            self._move(over.state, now)
            email.owed = None
            self._owe(over.owed)
        is_moved = email.gen == seen.gen + (over.owed is not None) and email.state is over.state
        return self._result(is_moved=is_moved)

    # questions

    def run_out(
        self,
        *,
        before: datetime,
        now: datetime,
        deadlines: dict[Lane, timedelta],
        policy: CheckPolicy,
        limit: int,
    ) -> list[Happening]:
        email = self.email
        if email.state is not State.SUBMITTING or email.claim is None or email.claim[2] >= before:
            return []
        _, claimed_at, until = email.claim
        request = email.new.request
        self._move(State.UNCONFIRMED, now)
        email.attempts += 1
        email.question = outcome_question(
            called_at=claimed_at,
            ended_at=until,
            deadline=request.unknown_deadline or deadlines[request.lane],
            policy=policy,
            now=now,
        )
        new = email.new
        return [
            Happening(
                tenant_id=new.tenant_id,
                email_id=new.email_id,
                lane=request.lane,
                state=State.UNCONFIRMED,
                at=now,
            )
        ]

    def due(self, about: About, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]:
        def is_due(question: Question) -> bool:
            return question.about is about and question.check_at is not None and question.check_at <= now

        return self._asking(is_due) if self.email.new.request.lane is lane else []

    def undecided(self, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]:
        def is_over(question: Question) -> bool:
            return question.decide_at is not None and question.decide_at <= now

        is_there = self.email.state is State.UNCONFIRMED and self.email.new.request.lane is lane
        return self._asking(is_over) if is_there else []

    def conclude(self, verdicts: Sequence[tuple[Questionable, Verdict]]) -> Written:
        for seen, verdict in verdicts:
            email = self.email
            question = email.question
            if question is None or (email.state, email.gen, question.checks) != (
                seen.state,
                seen.gen,
                seen.question.checks,
            ):
                continue
            email.may_be_sent |= verdict.may_be_sent
            if verdict.state is None:
                email.question = replace(question, checks=verdict.checks, check_at=verdict.check_at)
                email.unreported |= verdict.unreported
            else:
                self._move(verdict.state, verdict.at)
                email.due_at = verdict.due_at or email.due_at
                email.question = verdict.question
                self._owe(verdict.owed)
        at = [(verdict.state, verdict.at) for _, verdict in verdicts]
        return self._result(is_moved=(self.email.state, self.email.updated_at) in at)

    def _result(self, *, is_moved: bool) -> Written:
        moved = frozenset({self.email.new.email_id}) if is_moved else frozenset()
        return Written(moved=moved, owed=self.owing([]))

    # emails

    def get(self, tenant_id: str, email_id: str) -> Standing | None:
        return self.standings([email_id])[email_id]

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        email, request = self.email, self.email.new.request
        standing = Standing(
            email_id=email.new.email_id,
            tenant_id=email.new.tenant_id,
            lane=request.lane,
            state=email.state,
            gen=email.gen,
            attempts=email.attempts,
            calls=email.calls,
            accepted_at=email.new.accepted_at,
            updated_at=email.updated_at,
            due_at=email.due_at,
            expires_at=request.expires_at,
            may_be_sent=email.may_be_sent,
            is_unreported=email.unreported,
        )
        return {standing.email_id: standing}

    def owing(self, email_ids: Iterable[str]) -> list[OwedEmail]:
        email = self.email
        if email.owed is None:
            return []
        owed = OwedEmail(
            email_id=email.new.email_id,
            tenant_id=email.new.tenant_id,
            gen=email.gen,
            to=email.owed,
            lane=email.new.request.lane,
            priority=email.new.request.priority,
            due_at=email.due_at,
            attempts=email.attempts,
            waits=email.waits,
            accepted_at=email.new.accepted_at,
        )
        return [owed]

    def clear_owed(self, published: Iterable[OwedEmail], *, now: datetime) -> None:
        if any(owed.gen == self.email.gen for owed in published):
            self.email.owed = None

    def revive(self, letters: Iterable[tuple[str, int]], *, now: datetime) -> list[OwedEmail]:
        email = self.email
        for _, gen in letters:
            if email.gen == gen and email.state in REVIVABLE:
                self._move(State.QUEUED, now)
                email.attempts = email.waits = 0
                email.due_at = email.waiting_since = now
                self._owe(OwedTo.LANE)
        return self.owing([])

    def apply(self, changes: Sequence[tuple[Standing, State]], *, now: datetime) -> bool:
        email = self.email
        for seen, state in changes:
            if (email.state, email.calls) != (seen.state, seen.calls):
                return False
            email.attempts += int(email.state is State.SUBMITTING)
            self._move(state, now)
            email.owed = email.question = None
        return True

    def apply_to_recipient(self, item: RecipientReport, *, standing: Standing, state: State | None) -> bool:
        raise AssertionError("it has one recipient")

    def _move(self, state: State, at: datetime) -> None:
        self.email.state, self.email.updated_at = state, at
        self.email.states.append(state)

    def _owe(self, to: OwedTo | None) -> None:
        if to is not None:
            self.email.gen += 1
            self.email.owed = to

    def _is_held_by(self, claimed: ClaimedEmail) -> bool:
        claim = self.email.claim
        return claim is not None and claim[0] == claimed.token and self.email.gen == claimed.gen

    def _claimed(self, claim: tuple[str, datetime, datetime]) -> ClaimedEmail:
        email, request = self.email, self.email.new.request
        return ClaimedEmail(
            email_id=email.new.email_id,
            tenant_id=email.new.tenant_id,
            lane=request.lane,
            priority=request.priority,
            content=request.content,
            gen=email.gen,
            token=claim[0],
            attempts=email.attempts,
            calls=email.calls,
            waits=email.waits,
            accepted_at=email.new.accepted_at,
            claimed_at=claim[1],
            due_at=email.due_at,
            waiting_since=email.waiting_since,
            expires_at=request.expires_at,
            unknown_deadline=request.unknown_deadline,
        )

    def _asking(self, fits: Callable[[Question], bool]) -> list[Questionable]:
        email, request = self.email, self.email.new.request
        if email.question is None or not fits(email.question):
            return []
        found = Questionable(
            email_id=email.new.email_id,
            tenant_id=email.new.tenant_id,
            lane=request.lane,
            state=email.state,
            gen=email.gen,
            attempts=email.attempts,
            expires_at=request.expires_at,
            on_unknown=request.on_unknown,
            question=email.question,
        )
        return [found]
