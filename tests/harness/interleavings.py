"""One email, and whatever can happen to it, in any order: the rules of Hypothesis's state machine.

Workers that die or sleep, doubled messages, late acceptances, reports, checks and decisions that were begun
before something else was written: what reads and what writes are rules of their own. The decisions are the
product's; the provider never lies, but may be silent.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from delivery.domain.emails import ClaimedEmail, NewEmail, Standing
from delivery.domain.lanes import Lane, OnUnknown
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.owed import OwedTo
from delivery.domain.provider_events import PendingEvent
from delivery.domain.questions import About, CheckPolicy
from delivery.domain.reports import Report, state_after
from delivery.domain.states import CLAIMABLE, REVIVABLE, TRANSITIONS, State
from delivery.domain.unknowns import Found, Questionable, Verdict, after_check, at_deadline, passed_over
from delivery.domain.waiting import Over, Waiting, end_of_waiting
from delivery.use_cases.apply_provider_events import apply_provider_events
from delivery.use_cases.claim_emails import Stray, claim_emails
from delivery.use_cases.messages import EmailMessage
from delivery.use_cases.requeue_emails import requeue_emails
from delivery.use_cases.settle_emails import settle_emails
from tests.harness.one_email import OneEmail, Stored
from tests.unit.delivery.builders import EMAIL_ID, NOW, new_email, policy, seconds

LEASE = seconds(45)
CALL_NEEDS = seconds(17)
POLICY = CheckPolicy(
    offsets=(timedelta(minutes=1), timedelta(minutes=5)),
    late_accept=seconds(150),
    report_overdue=timedelta(minutes=30),
    calls_per_minute=60,
)
MAX_WAIT = timedelta(hours=2)
LANES = {lane: policy(5, 30, max_wait=MAX_WAIT, on_unknown=OnUnknown.HOLD) for lane in Lane} | {
    Lane.CRITICAL: policy(1, 1, max_wait=MAX_WAIT, on_unknown=OnUnknown.RESEND, unknown_deadline=seconds(30))
}
LAST_WORDS = (State.BOUNCED, State.COMPLAINED)
"""What may be reported late and must never be lost, in the order of precedence."""

PICK = st.integers(0, 99)
FATES = st.sampled_from([None, 0, 10, 120])
"""How long after a call the provider accepts it; None: never."""
NO = (Outcome.UNAVAILABLE, Outcome.THROTTLED, Outcome.MISCONFIGURED, Outcome.REJECTED)


@dataclass(slots=True)
class Call:
    """What a worker has in hand. accept_at: when the provider accepts it, if it ever does."""

    claimed: ClaimedEmail
    is_made: bool = False
    accept_at: datetime | None = None


@dataclass(slots=True)
class Truth:
    """What the provider knows. may_double: who may do so decided to send it once more all the same."""

    accepts: list[datetime] = field(default_factory=list)
    may_double: bool = False
    reported: list[Report] = field(default_factory=list)


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.truth = Truth()
        self.messages: list[EmailMessage] = []
        self.letters: list[EmailMessage] = []
        self.calls: list[Call] = []
        self.waiting: list[Waiting] = []
        self.verdicts: list[tuple[Questionable, Verdict]] = []
        self.seen: list[tuple[Standing, Report]] = []
        self.tokens = 0

    def open_store(self, new: NewEmail) -> OneEmail:
        """Over the email in memory; integration tests put the real store beside it."""
        return OneEmail(new)

    @initialize(
        lane=st.sampled_from([Lane.CRITICAL, Lane.STANDARD]),
        on_unknown=st.sampled_from([None, *OnUnknown]),
        expires_in=st.sampled_from([None, None, 60, 600, 7200]),
        is_attempted=st.sampled_from([True, True, True, False]),
        accepts_after=FATES,
        said=PICK,
    )
    def accept(
        self,
        lane: Lane,
        on_unknown: OnUnknown | None,
        expires_in: int | None,
        is_attempted: bool,
        accepts_after: float | None,
        said: int,
    ) -> None:
        expires_at = NOW + seconds(expires_in) if expires_in else None
        self.store = self.open_store(
            new_email(EMAIL_ID, lane=lane, on_unknown=on_unknown, expires_at=expires_at)
        )
        self.lane, self.expires_at = lane, expires_at
        if is_attempted:
            self._attempt(accepts_after, said)

    @property
    def email(self) -> Stored:
        return self.store.email

    # A whole attempt, undisturbed; the rules below it are its parts, between which all else may happen

    @precondition(lambda self: self.email.owed in (OwedTo.LANE, OwedTo.DELAY))
    @rule(accepts_after=FATES, said=PICK)
    def an_attempt_is_made(self, accepts_after: float | None, said: int) -> None:
        self._attempt(accepts_after, said)

    def _attempt(self, accepts_after: float | None, said: int) -> None:
        self.now = max(self.now, self.email.due_at)
        self._publish(is_confirmed=True)
        already = len(self.calls)
        self._receive(self.messages.pop())
        for call in self.calls[already:]:
            self._call(call, accepts_after)
            self.calls.remove(call)
            self._settle(call, said)

    # Time and messages

    @rule(passed=st.sampled_from([6, 31, 61, 160, 400, 3000]))
    def time_passes(self, passed: float) -> None:
        self.now += seconds(passed)

    @precondition(lambda self: self.email.owed is not None)
    @rule(is_confirmed=st.booleans())
    def what_is_owed_is_published(self, is_confirmed: bool) -> None:
        self._publish(is_confirmed=is_confirmed)

    def _publish(self, *, is_confirmed: bool) -> None:
        for owed in self.store.owing([EMAIL_ID]):
            queue = self.letters if owed.to in (OwedTo.DEAD, OwedTo.HELD) else self.messages
            queue.append(EmailMessage(owed.email_id, owed.gen))
            if is_confirmed:
                self.store.clear_owed([owed], now=self.now)

    @precondition(lambda self: self.messages)
    @rule(pick=PICK, is_redelivered=st.booleans())
    def a_worker_gets_a_message(self, pick: int, is_redelivered: bool) -> None:
        self._receive(self._take(self.messages, pick, is_redelivered))

    @precondition(lambda self: self.letters)
    @rule(pick=PICK, is_redelivered=st.booleans(), is_moved_into_the_lane=st.booleans())
    def a_person_moves_a_letter(self, pick: int, is_redelivered: bool, is_moved_into_the_lane: bool) -> None:
        letter = self._take(self.letters, pick, is_redelivered)
        if is_moved_into_the_lane:
            self._receive(letter)
        else:
            self._requeue(letter)

    def _take(self, queue: list[EmailMessage], pick: int, is_redelivered: bool) -> EmailMessage:
        message = queue[pick % len(queue)]
        if not is_redelivered:
            queue.remove(message)
        return message

    def _receive(self, message: EmailMessage) -> None:
        self.tokens += 1
        result = claim_emails(
            [message],
            claims=self.store,
            emails=self.store,
            token=str(self.tokens),
            until=self.now + LEASE,
            now=self.now,
        )
        self.calls += [Call(claimed) for claimed in result.won.values()]
        for _, stray, _ in result.strays:
            if stray is Stray.LETTER:
                self._requeue(message)
            if stray is Stray.EARLY:
                self.messages.append(message)

    def _requeue(self, letter: EmailMessage) -> None:
        if self.email.state in REVIVABLE and self.email.gen == letter.gen:
            self.truth.may_double = True  # a person decided
        requeue_emails([letter], emails=self.store, now=self.now)

    # Calls

    @precondition(lambda self: self._callable())
    @rule(pick=PICK, accepts_after=FATES)
    def a_worker_calls_the_provider(self, pick: int, accepts_after: float | None) -> None:
        """It looks at its lease before: a call that is made ends within it."""
        callable_now = self._callable()
        self._call(callable_now[pick % len(callable_now)], accepts_after)

    def _call(self, call: Call, accepts_after: float | None) -> None:
        if self._over(call.claimed.waiting_since) is not None:
            return  # as submit_email does
        assert self.expires_at is None or call.claimed.claimed_at < self.expires_at
        assert not self.truth.accepts or self.truth.may_double, "it is sent twice, and nobody decided so"
        call.is_made = True
        if accepts_after is not None:
            self.truth.may_double = False
            call.accept_at = self.now + seconds(accepts_after)
            self.truth.accepts.append(call.accept_at)

    def _callable(self) -> list[Call]:
        needed_until = self.now + CALL_NEEDS
        return [
            call for call in self.calls if not call.is_made and call.claimed.claimed_at + LEASE > needed_until
        ]

    @precondition(lambda self: self.calls)
    @rule(pick=PICK, said=PICK, is_written_twice=st.booleans())
    def a_worker_settles(self, pick: int, said: int, is_written_twice: bool) -> None:
        """However late. What was not called is given back."""
        call = self.calls.pop(pick % len(self.calls))
        for _ in range(2 if is_written_twice else 1):
            self._settle(call, said)

    def _settle(self, call: Call, said: int) -> None:
        answer = Answer(self._outcome(call, said), "what it said") if call.is_made else None
        settle_emails(
            [(call.claimed, answer)], claims=self.store, policies=LANES, checks=POLICY, now=self.now
        )

    def _outcome(self, call: Call, said: int) -> Outcome:
        possible: tuple[Outcome, ...] = (*NO, Outcome.UNKNOWN)
        if call.accept_at is not None:
            was_at_once = call.accept_at <= self.now and call.accept_at - call.claimed.claimed_at < seconds(
                10
            )
            possible = (Outcome.ACCEPTED, Outcome.UNKNOWN) if was_at_once else (Outcome.UNKNOWN,)
        return possible[said % len(possible)]

    @precondition(lambda self: self.calls)
    @rule(pick=PICK)
    def a_worker_dies(self, pick: int) -> None:
        self.calls.pop(pick % len(self.calls))

    @rule()
    def leases_run_out(self) -> None:
        deadlines = {lane: lane_policy.unknown_deadline for lane, lane_policy in LANES.items()}
        self.store.run_out(before=self.now, now=self.now, deadlines=deadlines, policy=POLICY, limit=10)

    # Waiting too long

    def _over(self, waiting_since: datetime) -> Over | None:
        return end_of_waiting(
            waiting_since=waiting_since, expires_at=self.expires_at, policy=LANES[self.lane], now=self.now
        )

    @precondition(lambda self: self.email.state in CLAIMABLE)
    @rule()
    def it_is_seen_to_wait(self) -> None:
        self.waiting.append(self.store.as_waiting(self.now))

    @precondition(lambda self: any(self._over(seen.waiting_since) for seen in self.waiting))
    @rule(is_written_twice=st.booleans())
    def it_ends_for_having_waited_too_long(self, is_written_twice: bool) -> None:
        """If it still waits as it was seen to."""
        seen = next(seen for seen in self.waiting if self._over(seen.waiting_since))
        self.waiting.remove(seen)
        over = self._over(seen.waiting_since)
        assert over is not None
        for _ in range(2 if is_written_twice else 1):
            self.store.end([seen], over, now=self.now)

    # Questions

    @precondition(lambda self: self.email.question is not None)
    @rule(said=PICK, is_written_at_once=st.booleans())
    def the_provider_is_asked(self, said: int, is_written_at_once: bool) -> None:
        for about in About:
            for email in self.store.due(about, self.lane, now=self.now, limit=1):
                found = self._found(said)
                verdict = after_check(email, found, lane=LANES[self.lane], policy=POLICY, now=self.now)
                self._conclude(email, verdict, at_once=is_written_at_once)

    def _found(self, said: int) -> Found:
        is_known = any(accept_at <= self.now for accept_at in self.truth.accepts)
        news = set(Found) - {Found.NEVER_SEEN} if is_known else {Found.NEVER_SEEN, Found.CANT_TELL}
        return sorted(news)[said % len(news)]

    @precondition(lambda self: self.email.question is not None)
    @rule(is_written_at_once=st.booleans())
    def a_deadline_is_noticed(self, is_written_at_once: bool) -> None:
        for email in self.store.undecided(self.lane, now=self.now, limit=1):
            verdict = at_deadline(email, lane=LANES[self.lane], now=self.now)
            self._conclude(email, verdict, at_once=is_written_at_once)
        since = self.now - POLICY.offsets[-1]
        for email in self.store.due(About.REPORT, self.lane, now=since, limit=1):
            verdict = passed_over(email, policy=POLICY, now=self.now)
            self._conclude(email, verdict, at_once=is_written_at_once)

    @precondition(lambda self: self.verdicts)
    @rule(pick=PICK, is_written_twice=st.booleans())
    def a_verdict_is_written_late(self, pick: int, is_written_twice: bool) -> None:
        email, verdict = self.verdicts.pop(pick % len(self.verdicts))
        for _ in range(2 if is_written_twice else 1):
            self._conclude(email, verdict, at_once=True)

    def _conclude(self, email: Questionable, verdict: Verdict, *, at_once: bool) -> None:
        if not at_once:
            self.verdicts.append((email, verdict))
            return
        gen = self.email.gen
        self.store.conclude([(email, verdict)])
        is_deadline = email.question.decide_at is not None and verdict.checks == email.question.checks
        if self.email.gen > gen and verdict.state is State.RETRYING and is_deadline:
            self.truth.may_double = True  # the policy resends

    # Reports

    @precondition(lambda self: self._is_accepted())
    @rule(report=st.sampled_from(list(Report)))
    def the_provider_reports(self, report: Report) -> None:
        self._apply(report)

    @precondition(lambda self: self._is_accepted())
    @rule(report=st.sampled_from(list(Report)))
    def a_report_is_looked_into(self, report: Report) -> None:
        self.seen.append((self.store.standings([EMAIL_ID])[EMAIL_ID], report))

    @precondition(lambda self: self.seen)
    @rule(pick=PICK)
    def what_was_looked_into_is_written(self, pick: int) -> None:
        """If the email is still where it was seen; else it is looked at again."""
        standing, report = self.seen.pop(pick % len(self.seen))
        state = state_after(report, state=standing.state, calls=standing.calls)
        if state is None or self.store.apply([(standing, state)], now=self.now):
            self.truth.reported.append(report)
        else:
            self._apply(report)

    def _is_accepted(self) -> bool:
        return any(accept_at <= self.now for accept_at in self.truth.accepts)

    def _apply(self, report: Report) -> None:
        event = PendingEvent(event_id="e", email_id=EMAIL_ID, report=report, received_at=self.now)
        apply_provider_events([event], events=self, emails=self.store, reported=self.store, now=self.now)
        self.truth.reported.append(report)

    def record_effects(self, effects: object, *, now: datetime) -> None:
        """These events are not stored, so there is nothing to record."""

    # What always holds

    @invariant()
    def every_step_is_in_the_table(self) -> None:
        states = self.email.states
        for before, after in pairwise(states):
            assert after in TRANSITIONS[before], f"{before} -> {after}"

    @invariant()
    def the_last_word_is_never_lost(self) -> None:
        words = [State(report.value) for report in self.truth.reported if report.value in LAST_WORDS]
        if words:
            assert self.email.state is max(words, key=LAST_WORDS.index)

    @invariant()
    def what_was_delivered_stays_sent(self) -> None:
        if Report.DELIVERED in self.truth.reported:
            assert self.email.state in (State.DELIVERED, *LAST_WORDS)

    @invariant()
    def there_is_always_a_next_step(self) -> None:
        email = self.email
        message = EmailMessage(EMAIL_ID, email.gen)
        question = email.question
        match email.state:
            case State.QUEUED | State.RETRYING:
                assert email.owed or message in self.messages
            case State.SUBMITTING:
                assert email.claim is not None
            case State.UNCONFIRMED:
                assert question is not None
                assert question.decide_at is not None
            case State.SUBMITTED:
                assert email.unreported or (question is not None and question.check_at is not None)
            case State.DEAD | State.HELD:
                assert email.owed or message in self.letters
            case _:
                assert (email.owed, question) == (None, None)
