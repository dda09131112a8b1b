from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from delivery.domain.lanes import LanePolicy, OnUnknown
from delivery.domain.owed import OwedTo
from delivery.domain.questions import About, CheckPolicy
from delivery.domain.settlement import DeathReason
from delivery.domain.states import TRANSITIONS, State
from delivery.domain.unknowns import (
    NEVER_SEEN,
    RESENT_BY_POLICY,
    Found,
    Questionable,
    Verdict,
    after_check,
    at_deadline,
    passed_over,
)
from tests.unit.delivery.builders import CHECKS, NOW, overdue, policy, seconds, unconfirmed

Make = Callable[..., Questionable]

HOLD = policy(5, 30, on_unknown=OnUnknown.HOLD)
RESEND = policy(5, 30, on_unknown=OnUnknown.RESEND)
LATE_ENOUGH = NOW + CHECKS.late_accept
TOO_EARLY = LATE_ENOUGH - timedelta(microseconds=1)
DEADLINE = NOW + timedelta(minutes=45)

SETTLED = {
    Found.ACCEPTED: State.SUBMITTED,
    Found.DELIVERED: State.DELIVERED,
    Found.REJECTED: State.REJECTED,
    Found.FAILED: State.FAILED,
}
NO_NEWS = [Found.NEVER_SEEN, Found.CANT_TELL]


def _check(
    email: Questionable, found: Found, *, now: datetime = LATE_ENOUGH, checks: CheckPolicy = CHECKS
) -> Verdict:
    return after_check(email, found, lane=HOLD, policy=checks, now=now)


# The provider says what became of it


@pytest.mark.parametrize(("found", "state"), SETTLED.items())
def test_what_the_provider_knows_settles_an_unknown_outcome(found: Found, state: State) -> None:
    verdict = _check(unconfirmed(), found)
    assert (verdict.state, verdict.owed, verdict.check_at) == (state, None, None)


@pytest.mark.parametrize("found", SETTLED)
def test_what_the_provider_knows_counts_however_early_and_whatever_has_expired(found: Found) -> None:
    verdict = _check(unconfirmed(expires_at=NOW), found, now=NOW)
    assert verdict.state is SETTLED[found]


@pytest.mark.parametrize("found", [Found.REJECTED, Found.FAILED])
def test_a_failure_says_where_it_comes_from(found: Found) -> None:
    assert _check(unconfirmed(), found).reason == "reported by the provider"
    assert _check(overdue(), found).reason == "reported by the provider"


@pytest.mark.parametrize("found", [Found.ACCEPTED, Found.DELIVERED])
def test_a_success_has_no_reason(found: Found) -> None:
    assert _check(unconfirmed(), found).reason is None


def test_what_turns_out_to_be_accepted_is_followed_up_like_any_other_submission() -> None:
    question = _check(unconfirmed(), Found.ACCEPTED).question
    assert question is not None
    assert question.about is About.REPORT
    assert question.check_at == LATE_ENOUGH + timedelta(minutes=30)
    assert question.checks == 0


def test_where_no_reports_come_what_turns_out_to_be_accepted_is_asked_about_no_more() -> None:
    silent = replace(CHECKS, report_overdue=None)
    assert _check(unconfirmed(), Found.ACCEPTED, checks=silent).question is None


@pytest.mark.parametrize("found", [Found.DELIVERED, Found.REJECTED, Found.FAILED])
def test_an_overdue_report_that_the_provider_gives_is_that_report(found: Found) -> None:
    verdict = _check(overdue(), found)
    assert (verdict.state, verdict.unreported, verdict.question) == (SETTLED[found], False, None)


# It has never seen it


def test_never_seen_when_asked_late_enough_is_tried_again_at_once() -> None:
    verdict = _check(unconfirmed(), Found.NEVER_SEEN)
    assert (verdict.state, verdict.owed) == (State.RETRYING, OwedTo.LANE)
    assert verdict.due_at == LATE_ENOUGH


def test_never_seen_counts_from_the_calls_end_not_from_its_beginning() -> None:
    ended_later = unconfirmed(ended_at=NOW + seconds(45))
    assert _check(ended_later, Found.NEVER_SEEN).state is None
    assert _check(ended_later, Found.NEVER_SEEN, now=LATE_ENOUGH + seconds(45)).state is State.RETRYING


def test_never_seen_when_asked_too_early_tells_nothing() -> None:
    verdict = _check(unconfirmed(), Found.NEVER_SEEN, now=TOO_EARLY)
    assert (verdict.state, verdict.owed) == (None, None)
    assert verdict.check_at == NOW + timedelta(minutes=5)


def test_never_seen_is_not_tried_again_once_it_has_expired() -> None:
    verdict = _check(unconfirmed(expires_at=LATE_ENOUGH), Found.NEVER_SEEN)
    assert (verdict.state, verdict.owed) == (State.EXPIRED, None)
    assert verdict.reason == "expired before its next attempt"


@pytest.mark.parametrize(("attempts", "state"), [(2, State.RETRYING), (3, State.DEAD)])
def test_never_seen_dies_of_its_last_attempt(attempts: int, state: State) -> None:
    verdict = _check(unconfirmed(attempts=attempts), Found.NEVER_SEEN)
    assert verdict.state is state
    if state is State.DEAD:
        assert (verdict.owed, verdict.reason) == (OwedTo.DEAD, DeathReason.ATTEMPTS_EXHAUSTED)


def test_what_the_provider_accepted_is_never_sent_again_even_if_it_has_forgotten_it() -> None:
    assert _check(overdue(), Found.NEVER_SEEN, now=NOW + timedelta(hours=3)).state is None


# It can't tell


@pytest.mark.parametrize("email", [unconfirmed(), overdue()], ids=["outcome", "report"])
def test_no_news_is_asked_again_at_the_next_offset(email: Questionable) -> None:
    verdict = _check(email, Found.CANT_TELL)
    assert (verdict.state, verdict.checks, verdict.unreported) == (None, 1, False)
    assert verdict.check_at == NOW + timedelta(minutes=5)


def test_an_outcome_with_no_offset_left_waits_for_its_deadline() -> None:
    verdict = _check(unconfirmed(checks=1), Found.CANT_TELL)
    assert (verdict.state, verdict.check_at, verdict.unreported) == (None, None, False)


@pytest.mark.parametrize("found", [*NO_NEWS, Found.ACCEPTED])
def test_an_overdue_report_with_no_offset_left_is_unreported(found: Found) -> None:
    verdict = _check(overdue(checks=1), found)
    assert (verdict.state, verdict.check_at, verdict.unreported) == (None, None, True)


def test_accepted_is_no_news_about_an_overdue_report() -> None:
    verdict = _check(overdue(), Found.ACCEPTED)
    assert (verdict.state, verdict.unreported) == (None, False)
    assert verdict.check_at == NOW + timedelta(minutes=5)


def test_an_overdue_report_that_nobody_could_ask_for_counts_as_unreported_and_is_asked_for_later() -> None:
    now = NOW + timedelta(hours=1)
    verdict = passed_over(overdue(), policy=CHECKS, now=now)
    assert (verdict.state, verdict.unreported, verdict.checks) == (None, True, 1)
    assert verdict.check_at == now + timedelta(minutes=1)


def test_an_overdue_report_that_nobody_could_ever_ask_for_is_given_up() -> None:
    verdict = passed_over(overdue(checks=1), policy=CHECKS, now=NOW + timedelta(hours=2))
    assert (verdict.unreported, verdict.check_at) == (True, None)


# The deadline


def test_at_the_deadline_the_lane_holds() -> None:
    verdict = at_deadline(unconfirmed(checks=1), lane=HOLD, now=DEADLINE)
    assert (verdict.state, verdict.owed, verdict.reason) == (State.HELD, OwedTo.HELD, "outcome unknown")


def test_at_the_deadline_the_lane_resends() -> None:
    verdict = at_deadline(unconfirmed(), lane=RESEND, now=DEADLINE)
    assert (verdict.state, verdict.owed, verdict.due_at) == (State.RETRYING, OwedTo.LANE, DEADLINE)


def test_what_is_sent_again_says_by_whose_decision() -> None:
    assert at_deadline(unconfirmed(), lane=RESEND, now=DEADLINE).note == RESENT_BY_POLICY
    assert _check(unconfirmed(), Found.NEVER_SEEN).note == NEVER_SEEN


@pytest.mark.parametrize(
    ("lane", "asked", "state"),
    [(HOLD, OnUnknown.RESEND, State.RETRYING), (RESEND, OnUnknown.HOLD, State.HELD)],
    ids=["resend in a lane that holds", "hold in a lane that resends"],
)
def test_what_the_request_says_goes_before_the_lane(lane: LanePolicy, asked: OnUnknown, state: State) -> None:
    assert at_deadline(unconfirmed(on_unknown=asked), lane=lane, now=DEADLINE).state is state


@pytest.mark.parametrize("lane", [HOLD, RESEND], ids=["hold", "resend"])
def test_what_expired_while_unconfirmed_is_neither_held_nor_sent_again(lane: LanePolicy) -> None:
    verdict = at_deadline(unconfirmed(expires_at=DEADLINE), lane=lane, now=DEADLINE)
    assert (verdict.state, verdict.owed, verdict.reason) == (
        State.EXPIRED,
        None,
        "expired while unconfirmed",
    )


def test_what_has_not_expired_yet_is_sent_again_in_time() -> None:
    email = unconfirmed(expires_at=DEADLINE + timedelta(microseconds=1))
    assert at_deadline(email, lane=RESEND, now=DEADLINE).state is State.RETRYING


def test_a_lane_that_resends_stops_at_its_last_attempt() -> None:
    verdict = at_deadline(unconfirmed(attempts=3), lane=RESEND, now=DEADLINE)
    assert (verdict.state, verdict.owed) == (State.DEAD, OwedTo.DEAD)
    assert verdict.reason == DeathReason.ATTEMPTS_EXHAUSTED


# All of them


@pytest.mark.parametrize("found", list(Found))
@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("checks", [0, 1])
@pytest.mark.parametrize("expires_at", [None, NOW])
@pytest.mark.parametrize("now", [TOO_EARLY, LATE_ENOUGH])
@pytest.mark.parametrize("make", [unconfirmed, overdue])
def test_every_verdict_is_a_transition_of_the_table(
    found: Found, attempts: int, checks: int, expires_at: datetime | None, now: datetime, make: Make
) -> None:
    email = make(attempts=attempts, checks=checks, expires_at=expires_at)
    for lane in (HOLD, RESEND):
        verdicts = [after_check(email, found, lane=lane, policy=CHECKS, now=now)]
        if email.question.about is About.OUTCOME:
            verdicts.append(at_deadline(email, lane=lane, now=now))
        for verdict in verdicts:
            assert verdict.state is None or verdict.state in TRANSITIONS[email.state]
            assert verdict.at == now


@pytest.mark.parametrize("found", list(Found))
@pytest.mark.parametrize("now", [TOO_EARLY, LATE_ENOUGH])
@pytest.mark.parametrize("make", [unconfirmed, overdue])
def test_every_answer_uses_up_one_check(found: Found, now: datetime, make: Make) -> None:
    assert _check(make(), found, now=now).checks == 1


@pytest.mark.parametrize("found", list(Found))
@pytest.mark.parametrize("now", [TOO_EARLY, LATE_ENOUGH])
def test_an_unknown_outcome_is_never_left_without_a_next_step(found: Found, now: datetime) -> None:
    """It moves on, is asked about again, or has its deadline."""
    email = unconfirmed(checks=1)
    verdict = _check(email, found, now=now)
    assert verdict.state or verdict.check_at or email.question.decide_at
