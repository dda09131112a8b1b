"""The oracle of the fault matrix finds what is planted, and nothing in a sound run."""

from datetime import datetime
from typing import Any

import pytest

from delivery.domain.states import State
from delivery.domain.unknowns import NEVER_SEEN
from tests.chaos.evidence import Evidence
from tests.chaos.oracle import Breach, judge
from tests.unit.chaos.builders import LONG_AGO, SOON, call, left_behind, resent, stored


def breaches(evidence: Evidence, **options: Any) -> list[Breach]:
    return [finding.breach for finding in judge(evidence, **options)]


# A sound run


SOUND = {
    "delivered": left_behind(stored(), calls=(call(),)),
    "delivered, and told by nobody but the status endpoint": left_behind(
        stored(), calls=(call(result="lost"),)
    ),
    "refused": left_behind(stored(State.REJECTED, fault="refused"), calls=(call(accepted=False),)),
    "sent again after it was never seen": left_behind(
        stored(history={State.RETRYING: NEVER_SEEN}), calls=(call(accepted=False), call())
    ),
    "sent twice because the lane says so": left_behind(resent(lane="critical"), calls=(call(), call())),
    "sent twice because the request says so": left_behind(
        resent(on_unknown="resend"), calls=(call(), call())
    ),
    "revived by a person": left_behind(stored(requeues=1), calls=(call(accepted=False), call())),
    "unconfirmed, and about to be asked for": left_behind(
        stored(State.UNCONFIRMED, question={"check_at": SOON}), calls=(call(accepted=False),)
    ),
    "held when nobody could be asked": left_behind(
        stored(State.HELD), calls=(call(accepted=False),), can_ask=False
    ),
}


@pytest.mark.parametrize("evidence", SOUND.values(), ids=SOUND)
def test_a_sound_run_breaks_no_promise(evidence: Evidence) -> None:
    assert judge(evidence) == []


# Lost


def test_an_accepted_email_that_is_not_there_is_lost() -> None:
    (finding,) = judge(left_behind(stored(), calls=(call(),), accepted={"email-1", "email-2"}))
    assert (finding.breach, finding.what) == (Breach.LOST, "email-2")


def test_a_call_for_an_email_that_is_not_there_shows_that_it_was_lost() -> None:
    assert breaches(left_behind(calls=(call(),))) == [Breach.LOST]


# Doubled


@pytest.mark.parametrize("lane", ["critical", "transactional"])
def test_an_email_accepted_twice_without_a_decision_is_doubled(lane: str) -> None:
    found = breaches(left_behind(stored(lane=lane), calls=(call(), call())))
    assert found == [Breach.DOUBLED, Breach.CALLED_AGAIN]


def test_never_seen_excuses_no_double() -> None:
    email = stored(lane="critical", history={State.RETRYING: NEVER_SEEN})
    assert breaches(left_behind(email, calls=(call(), call()))) == [Breach.DOUBLED]


def test_one_decision_excuses_one_double() -> None:
    three_times = (call(), call(), call())
    found = breaches(left_behind(resent(lane="critical"), calls=three_times))
    assert found == [Breach.DOUBLED, Breach.CALLED_AGAIN]


@pytest.mark.parametrize("email", [resent(), resent(lane="critical", on_unknown="hold")])
def test_what_is_not_to_be_resent_has_no_excuse_for_a_double(email: dict[str, Any]) -> None:
    assert breaches(left_behind(email, calls=(call(), call()))) == [Breach.DOUBLED]


def test_a_second_call_that_nobody_decided_is_found_even_if_it_was_not_accepted() -> None:
    assert breaches(left_behind(stored(), calls=(call(), call(accepted=False)))) == [Breach.CALLED_AGAIN]


# Stuck

STEPS = {
    State.SCHEDULED: ("due_at",),
    State.QUEUED: ("owed", "at"),
    State.RETRYING: ("published", "at"),
    State.SUBMITTING: ("claim", "until"),
    State.UNCONFIRMED: ("question", "decide_at"),
    State.SUBMITTED: ("question", "check_at"),
}


def waiting(state: State, at: datetime) -> dict[str, Any]:
    outer, *inner = STEPS[state]
    changes: dict[str, Any] = {outer: {inner[0]: at} if inner else at}
    return stored(state, **changes)


@pytest.mark.parametrize("state", STEPS)
def test_an_email_that_waits_for_something_is_not_stuck(state: State) -> None:
    assert judge(left_behind(waiting(state, SOON))) == []


@pytest.mark.parametrize("state", STEPS)
def test_an_email_that_nothing_is_to_come_for_is_stuck(state: State) -> None:
    assert breaches(left_behind(stored(state))) == [Breach.STUCK]


@pytest.mark.parametrize("state", STEPS)
def test_an_email_whose_next_step_nobody_takes_is_stuck(state: State) -> None:
    assert breaches(left_behind(waiting(state, LONG_AGO))) == [Breach.STUCK]


def test_an_email_without_the_message_that_it_waits_for_is_stuck() -> None:
    evidence = left_behind(waiting(State.QUEUED, SOON), unowed=("email-1 queued generation 1: no message",))
    assert breaches(evidence) == [Breach.STUCK]


# Wrongly held


def test_an_email_that_was_accepted_is_not_to_be_held_where_one_can_ask() -> None:
    (finding,) = judge(left_behind(stored(State.HELD), calls=(call(report=None),)))
    assert finding.breach is Breach.HELD
    assert "accepted" in finding.what


def test_an_email_that_was_never_seen_is_not_to_be_held_where_one_can_ask() -> None:
    (finding,) = judge(left_behind(stored(State.HELD), calls=(call(accepted=False),)))
    assert finding.breach is Breach.HELD
    assert "never seen" in finding.what


@pytest.mark.parametrize("report", ["DELIVERED", "FAILED", "REJECTED"])
def test_an_email_that_was_reported_on_is_never_to_be_held(report: str) -> None:
    evidence = left_behind(stored(State.HELD), calls=(call(report=report),), can_ask=False)
    assert Breach.HELD in breaches(evidence)


@pytest.mark.parametrize("result", [401, 503, "lost", "TimeoutError"])
def test_a_report_that_was_not_taken_is_no_evidence(result: int | str) -> None:
    evidence = left_behind(stored(State.HELD), calls=(call(result=result),), can_ask=False)
    assert judge(evidence) == []


# Ended otherwise than it went


def test_an_email_is_not_delivered_without_having_been_accepted() -> None:
    assert breaches(left_behind(stored(), calls=(call(accepted=False),))) == [Breach.WRONG_END]


@pytest.mark.parametrize("state", [State.DEAD, State.FAILED, State.EXPIRED, State.REJECTED])
def test_an_email_that_was_reported_delivered_does_not_end_as_a_failure(state: State) -> None:
    evidence = left_behind(stored(state, fault="webhooks-reversed"), calls=(call(),))
    assert breaches(evidence, may_end=frozenset(State)) == [Breach.WRONG_END]


def test_an_email_ends_as_its_fault_says() -> None:
    dead = left_behind(stored(State.DEAD, fault="504-never"), calls=(call(accepted=False),))
    assert breaches(dead) == [Breach.WRONG_END]
    assert breaches(dead, may_end=frozenset({State.DEAD})) == []


def test_a_report_that_never_came_is_an_end_only_where_it_could_not_be_asked_for() -> None:
    unreported = left_behind(stored(State.SUBMITTED, unreported=True), calls=(call(result="lost"),))
    assert breaches(unreported) == [Breach.WRONG_END]
    assert breaches(unreported, may_end=frozenset({State.SUBMITTED})) == []
