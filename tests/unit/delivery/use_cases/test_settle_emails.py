from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from delivery.domain.emails import ClaimedEmail
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.owed import OwedEmail, OwedTo, Written
from delivery.domain.questions import About, CheckPolicy, Question
from delivery.domain.settlement import Settlement
from delivery.domain.states import State
from delivery.use_cases.settle_emails import Settled, settle_emails
from tests.unit.delivery.builders import CHECKS, NOW, claimed, owed_email, policy, seconds

POLICIES = {lane: policy(10 * number) for number, lane in enumerate(Lane, start=1)}


class Claims:
    def __init__(self) -> None:
        self.settled: list[Settlement] = []
        self.given_back: list[str] = []
        self.calls = 0
        self.elsewhere: set[str] = set()

    def settle(self, settled: Sequence[tuple[ClaimedEmail, Settlement]]) -> Written:
        self.calls += 1
        self.settled += [settlement for _, settlement in settled]
        return Written(
            moved=frozenset(email.email_id for email, _ in settled) - self.elsewhere,
            owed=[
                owed_email(email_id=email.email_id, gen=email.gen + 1, to=settlement.owed)
                for email, settlement in settled
                if settlement.owed
            ],
        )

    def give_back(self, claimed: Sequence[ClaimedEmail], *, now: datetime) -> list[OwedEmail]:
        self.calls += 1
        self.given_back += [email.email_id for email in claimed]
        return [owed_email(email_id=email.email_id, gen=email.gen + 1) for email in claimed]


def _settle(
    claims: Claims, *answered: tuple[ClaimedEmail, Answer | None], checks: CheckPolicy = CHECKS
) -> Settled:
    return settle_emails(answered, claims=claims, policies=POLICIES, checks=checks, now=NOW)


def test_each_email_is_settled_by_the_policy_of_its_lane() -> None:
    claims = Claims()
    unavailable = Answer(Outcome.UNAVAILABLE, "HTTP 503")
    _settle(claims, *((claimed(lane=lane), unavailable) for lane in Lane))
    assert [settlement.due_at for settlement in claims.settled] == [
        NOW + seconds(wait) for wait in (10, 20, 30, 40)
    ]


def test_what_was_not_called_is_given_back_and_not_settled() -> None:
    claims = Claims()
    settled = _settle(
        claims,
        (claimed(email_id="a"), Answer(Outcome.ACCEPTED, "HTTP 200")),
        (claimed(email_id="b"), None),
        (claimed(email_id="c"), Answer(Outcome.UNAVAILABLE, "HTTP 503")),
    )
    assert [settlement.state for settlement in claims.settled] == [State.SUBMITTED, State.RETRYING]
    assert claims.given_back == ["b"]
    assert [(debt.email_id, debt.to) for debt in settled.owed] == [("c", OwedTo.DELAY), ("b", OwedTo.LANE)]


def test_it_tells_what_happened_to_each_email_that_was_called() -> None:
    unsent, sent = claimed(email_id="a"), claimed(email_id="b", lane=Lane.BULK)
    settled = _settle(Claims(), (unsent, None), (sent, Answer(Outcome.ACCEPTED, "HTTP 200")))
    assert settled.happened == [
        Happening(tenant_id="default", email_id="b", lane=Lane.BULK, state=State.SUBMITTED, at=NOW)
    ]


def test_it_does_not_tell_of_an_email_that_was_elsewhere_by_then() -> None:
    claims = Claims()
    claims.elsewhere = {"a"}
    accepted = Answer(Outcome.ACCEPTED, "HTTP 200")
    settled = _settle(claims, (claimed(email_id="a"), accepted), (claimed(email_id="b"), accepted))
    assert [happening.email_id for happening in settled.happened] == ["b"]


def test_an_unknown_outcome_opens_a_question_from_the_claim_on() -> None:
    claims = Claims()
    email = claimed(claimed_at=NOW - seconds(15))
    _settle(claims, (email, Answer(Outcome.UNKNOWN, "HTTP 504")))
    (settlement,) = claims.settled
    assert settlement.question == Question(
        about=About.OUTCOME,
        asked_from=NOW - seconds(15),
        ended_at=NOW,
        checks=0,
        check_at=NOW - seconds(15) + CHECKS.offsets[0],
        decide_at=NOW - seconds(15) + POLICIES[email.lane].unknown_deadline,
    )


def test_a_requests_own_deadline_goes_before_the_lanes() -> None:
    claims = Claims()
    email = claimed(unknown_deadline=seconds(90))
    _settle(claims, (email, Answer(Outcome.UNKNOWN, "HTTP 504")))
    (settlement,) = claims.settled
    assert settlement.question is not None
    assert settlement.question.decide_at == NOW + seconds(90)


def test_a_submitted_email_has_its_report_to_come() -> None:
    claims = Claims()
    _settle(claims, (claimed(), Answer(Outcome.ACCEPTED, "HTTP 200")))
    (settlement,) = claims.settled
    assert settlement.question is not None
    assert settlement.question.about is About.REPORT
    assert settlement.question.check_at == NOW + seconds(30 * 60)


@pytest.mark.parametrize("outcome", [o for o in Outcome if o not in (Outcome.ACCEPTED, Outcome.UNKNOWN)])
def test_nothing_else_leaves_a_question_open(outcome: Outcome) -> None:
    claims = Claims()
    _settle(claims, (claimed(), Answer(outcome, "what it said")))
    assert claims.settled[0].question is None


def test_what_expired_before_its_call_ends_and_is_not_given_back() -> None:
    claims = Claims()
    settled = _settle(claims, (claimed(expires_at=NOW), None))
    (settlement,) = claims.settled
    assert (settlement.state, settlement.was_called) == (State.EXPIRED, False)
    assert claims.given_back == []
    assert [happening.state for happening in settled.happened] == [State.EXPIRED]


def test_what_waited_long_for_us_and_was_not_called_is_given_back() -> None:
    claims = Claims()
    late = claimed(waiting_since=NOW - seconds(1) - POLICIES[Lane.TRANSACTIONAL].max_wait)
    _settle(claims, (late, None))
    assert (claims.settled, claims.given_back) == ([], [late.email_id])


def test_the_store_is_not_bothered_with_nothing() -> None:
    claims = Claims()
    assert _settle(claims) == Settled(owed=[], happened=[])
    assert claims.calls == 0


def test_each_lane_is_asked_about_at_its_own_offsets() -> None:
    claims = Claims()
    checks = replace(CHECKS, lane_offsets={Lane.CRITICAL: (seconds(20),)})
    unknown = Answer(Outcome.UNKNOWN, "HTTP 504")
    batch = [(claimed(lane=lane, claimed_at=NOW), unknown) for lane in (Lane.CRITICAL, Lane.BULK)]
    _settle(claims, *batch, checks=checks)
    questions = [settlement.question for settlement in claims.settled]
    assert [question.check_at for question in questions if question] == [
        NOW + seconds(20),
        NOW + CHECKS.offsets[0],
    ]


def test_each_email_of_a_batch_is_settled_as_it_would_be_alone() -> None:
    answered = [
        (
            claimed(
                email_id=f"{lane} {attempts} {waits} {outcome}", lane=lane, attempts=attempts, waits=waits
            ),
            a,
        )
        for lane in Lane
        for attempts in (0, 1)
        for waits in (0, 2)
        for outcome in Outcome
        for a in (Answer(outcome, "x"),)
    ]
    together, alone = Claims(), Claims()
    _settle(together, *answered)
    for each in answered:
        _settle(alone, each)
    assert together.settled == alone.settled
