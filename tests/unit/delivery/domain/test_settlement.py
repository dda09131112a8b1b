from datetime import datetime, timedelta

import pytest

from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.owed import OwedTo
from delivery.domain.settlement import DeathReason, Settlement, settle
from delivery.domain.states import TRANSITIONS, State
from tests.unit.delivery.builders import NOW, claimed, policy, seconds

NO_ATTEMPT_SPENT = [Outcome.THROTTLED, Outcome.MISCONFIGURED]


def _settle(
    outcome: Outcome,
    *waits: float,
    retry_after: timedelta | None = None,
    now: datetime = NOW,
    max_wait: timedelta = timedelta(hours=12),
    **email: object,
) -> Settlement:
    """``waits``: the lane's retry schedule in seconds. ``email``: what is claimed."""
    answer = Answer(outcome, "what it said", retry_after)
    return settle(claimed(**email), answer, policy=policy(*waits, max_wait=max_wait), now=now)


def test_accepted_is_submitted_and_owes_nothing() -> None:
    settlement = _settle(Outcome.ACCEPTED, 5, attempts=2)
    assert (settlement.state, settlement.attempts, settlement.owed) == (State.SUBMITTED, 3, None)
    assert settlement.reason is None
    assert settlement.last_error is None


def test_rejected_is_final_with_the_providers_reason() -> None:
    settlement = _settle(Outcome.REJECTED, 5)
    assert (settlement.state, settlement.owed) == (State.REJECTED, None)
    assert settlement.reason == "what it said"


def test_unknown_is_unconfirmed_and_is_not_sent_again() -> None:
    settlement = _settle(Outcome.UNKNOWN, 5)
    assert (settlement.state, settlement.owed, settlement.due_at) == (State.UNCONFIRMED, None, None)
    assert settlement.attempts == 1
    assert settlement.last_error == "what it said"


@pytest.mark.parametrize(("attempts", "wait"), [(0, 1), (1, 5), (2, 15)])
def test_unavailable_retries_by_the_schedule(attempts: int, wait: float) -> None:
    settlement = _settle(Outcome.UNAVAILABLE, 1, 5, 15, attempts=attempts)
    assert (settlement.state, settlement.owed) == (State.RETRYING, OwedTo.DELAY)
    assert settlement.due_at == NOW + seconds(wait)
    assert settlement.attempts == attempts + 1
    assert settlement.last_error == "what it said"


def test_a_probe_of_a_provider_that_is_still_away_spends_no_attempt() -> None:
    answer = Answer(Outcome.UNAVAILABLE, "HTTP 503", is_probe=True)
    settlement = settle(claimed(attempts=3, waits=1), answer, policy=policy(1, 5, 15), now=NOW)
    assert (settlement.state, settlement.attempts, settlement.waits) == (State.RETRYING, 3, 2)
    assert settlement.due_at == NOW + seconds(5)


def test_an_email_has_one_attempt_more_than_its_schedule_has_waits() -> None:
    settlement = _settle(Outcome.UNAVAILABLE, 1, 5, 15, attempts=3)
    assert (settlement.state, settlement.owed) == (State.DEAD, OwedTo.DEAD)
    assert settlement.reason == DeathReason.ATTEMPTS_EXHAUSTED
    assert settlement.attempts == 4


def test_a_lane_without_a_schedule_tries_once() -> None:
    assert _settle(Outcome.UNAVAILABLE).reason == DeathReason.ATTEMPTS_EXHAUSTED


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, *NO_ATTEMPT_SPENT])
@pytest.mark.parametrize(("asked", "waits"), [(1, 5), (60, 60)])
def test_a_provider_that_asks_for_a_longer_wait_gets_it(outcome: Outcome, asked: float, waits: float) -> None:
    assert _settle(outcome, 5, retry_after=seconds(asked)).due_at == NOW + seconds(waits)


@pytest.mark.parametrize("outcome", NO_ATTEMPT_SPENT)
def test_throttling_and_a_wrong_credential_spend_no_attempt(outcome: Outcome) -> None:
    settlement = _settle(outcome, 5, 30, attempts=2, waits=0)
    assert settlement.state is State.RETRYING
    assert settlement.attempts == 2
    assert settlement.waits == 1


@pytest.mark.parametrize("outcome", NO_ATTEMPT_SPENT)
def test_waits_without_attempts_grow_up_to_the_schedules_last_step(outcome: Outcome) -> None:
    due = [_settle(outcome, 1, 5, 30, waits=waits).due_at for waits in range(5)]
    assert due == [NOW + seconds(wait) for wait in (1, 5, 30, 30, 30)]


@pytest.mark.parametrize("outcome", NO_ATTEMPT_SPENT)
def test_waits_without_attempts_end_at_the_lanes_max_wait(outcome: Outcome) -> None:
    late = NOW + timedelta(minutes=10) - seconds(29)
    settlement = _settle(outcome, 30, max_wait=timedelta(minutes=10), now=late, waits=9)
    assert (settlement.state, settlement.owed) == (State.DEAD, OwedTo.DEAD)
    assert settlement.reason == DeathReason.MAX_WAIT_EXCEEDED
    assert settlement.attempts == 0


def test_a_wait_that_ends_exactly_at_max_wait_is_still_waited() -> None:
    late = NOW + timedelta(minutes=10) - seconds(30)
    assert _settle(Outcome.THROTTLED, 30, max_wait=timedelta(minutes=10), now=late).state is State.RETRYING


def test_a_lane_without_a_schedule_waits_out_throttling_all_the_same() -> None:
    settlement = _settle(Outcome.THROTTLED, max_wait=timedelta(minutes=10), now=NOW + seconds(1))
    assert settlement.due_at == NOW + seconds(61)


def test_max_wait_counts_from_the_last_requeue() -> None:
    later = NOW + timedelta(days=2)
    settlement = _settle(Outcome.UNAVAILABLE, 30, now=later, waiting_since=later)
    assert settlement.state is State.RETRYING


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, *NO_ATTEMPT_SPENT])
def test_max_wait_counts_from_when_the_provider_first_made_it_wait(outcome: Outcome) -> None:
    long_ago = NOW - timedelta(days=30)
    first = _settle(outcome, 30, waiting_since=long_ago)
    assert (first.state, first.waiting_since) == (State.RETRYING, NOW)
    later = _settle(outcome, 30, 30, waiting_since=long_ago, waits=1)
    assert later.reason == DeathReason.MAX_WAIT_EXCEEDED


def test_retries_by_schedule_end_at_max_wait_too() -> None:
    settlement = _settle(Outcome.UNAVAILABLE, 30, max_wait=seconds(20))
    assert settlement.reason == DeathReason.MAX_WAIT_EXCEEDED
    assert settlement.attempts == 1


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, *NO_ATTEMPT_SPENT])
@pytest.mark.parametrize(
    ("expires_in", "state"), [(29, State.EXPIRED), (30, State.EXPIRED), (31, State.RETRYING)]
)
def test_what_expires_before_its_next_attempt_is_not_tried_again(
    outcome: Outcome, expires_in: float, state: State
) -> None:
    assert _settle(outcome, 30, expires_at=NOW + seconds(expires_in)).state is state


def test_what_expired_during_the_call_and_was_accepted_is_submitted() -> None:
    assert _settle(Outcome.ACCEPTED, expires_at=NOW - seconds(1)).state is State.SUBMITTED


def test_what_expired_says_so() -> None:
    settlement = _settle(Outcome.UNAVAILABLE, 30, expires_at=NOW)
    assert settlement.reason == "expired before its next attempt"
    assert settlement.owed is None
    assert settlement.attempts == 1


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("attempts", [0, 1, 2])
@pytest.mark.parametrize("expires_at", [None, NOW, NOW + timedelta(days=1)])
@pytest.mark.parametrize("max_wait", [seconds(0), timedelta(hours=1)])
@pytest.mark.parametrize("believed", [State.SUBMITTING, State.UNCONFIRMED])
def test_every_settlement_is_a_transition_of_the_table(
    outcome: Outcome, attempts: int, expires_at: datetime | None, max_wait: timedelta, believed: State
) -> None:
    settlement = _settle(outcome, 1, 5, attempts=attempts, expires_at=expires_at, max_wait=max_wait)
    assert settlement.state in TRANSITIONS[believed] | {believed}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_settlement_is_made_at_the_time_given(outcome: Outcome) -> None:
    settlement = settle(claimed(), Answer(outcome, ""), policy=policy(1), now=NOW + seconds(3))
    assert settlement.at == NOW + seconds(3)
