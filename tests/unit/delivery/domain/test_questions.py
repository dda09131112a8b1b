from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from delivery.domain.lanes import Lane
from delivery.domain.questions import (
    About,
    CheckPolicy,
    Question,
    next_check,
    outcome_question,
    report_question,
)
from tests.unit.delivery.builders import NOW, seconds

POLICY = CheckPolicy(
    offsets=(timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=10)),
    late_accept=seconds(150),
    report_overdue=timedelta(minutes=30),
    calls_per_minute=60,
)
NO_CHECKS = replace(POLICY, offsets=())


def minutes(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


def _outcome(*, now: datetime = NOW, ended_at: datetime = NOW, policy: CheckPolicy = POLICY) -> Question:
    return outcome_question(
        called_at=NOW, ended_at=ended_at, deadline=timedelta(minutes=45), policy=policy, now=now
    )


def _report(policy: CheckPolicy = POLICY) -> Question:
    question = report_question(submitted_at=NOW, policy=policy)
    assert question is not None
    return question


# An unknown outcome


def test_an_unknown_outcome_is_asked_about_at_the_first_offset_and_decided_at_its_deadline() -> None:
    question = _outcome(now=NOW + seconds(15), ended_at=NOW + seconds(15))
    assert question == Question(
        about=About.OUTCOME,
        asked_from=NOW,
        ended_at=NOW + seconds(15),
        checks=0,
        check_at=minutes(1),
        decide_at=minutes(45),
    )


def test_an_outcome_that_became_unknown_only_after_the_first_offset_is_asked_about_at_once() -> None:
    assert _outcome(now=minutes(7)).check_at == minutes(7)


def test_a_deadline_that_has_passed_already_stays_in_the_past() -> None:
    assert _outcome(now=minutes(60)).decide_at == minutes(45)


def test_without_offsets_only_the_deadline_is_left() -> None:
    question = _outcome(policy=NO_CHECKS)
    assert (question.check_at, question.decide_at) == (None, minutes(45))


# An overdue report


def test_a_report_is_asked_for_when_it_is_overdue_and_nobody_decides_about_it() -> None:
    question = _report()
    assert (question.about, question.check_at, question.decide_at) == (About.REPORT, minutes(30), None)


def test_the_checks_for_a_report_are_as_far_apart_as_those_for_an_outcome() -> None:
    assert _all_checks(_report()) == [minutes(30), minutes(34), minutes(39)]


@pytest.mark.parametrize("policy", [replace(POLICY, report_overdue=None), NO_CHECKS])
def test_no_report_is_asked_for_where_none_comes_or_nobody_can_be_asked(policy: CheckPolicy) -> None:
    assert report_question(submitted_at=NOW, policy=policy) is None


# The next check


def test_each_offset_is_used_once() -> None:
    assert _all_checks(_outcome()) == [minutes(1), minutes(5), minutes(10)]


def test_an_offset_that_has_passed_is_made_up_for_no_sooner_than_a_first_offset_later() -> None:
    assert next_check(NOW, checks=1, policy=POLICY, now=minutes(4.5)) == minutes(5.5)
    assert next_check(NOW, checks=1, policy=POLICY, now=minutes(20)) == minutes(21)
    assert next_check(NOW, checks=2, policy=POLICY, now=minutes(21)) == minutes(22)


def test_an_email_is_asked_about_as_often_as_there_are_offsets_however_late_it_begins() -> None:
    late = _outcome(now=minutes(30))
    assert _all_checks(late) == [minutes(30), minutes(31), minutes(32)]


def _all_checks(question: Question) -> list[datetime]:
    """When it is asked, if every check is made at its time."""
    times: list[datetime] = []
    check_at = question.check_at
    while check_at is not None:
        times.append(check_at)
        check_at = next_check(question.asked_from, checks=len(times), policy=POLICY, now=check_at)
    return times


def test_a_lane_may_have_offsets_of_its_own() -> None:
    soon = replace(POLICY, lane_offsets={Lane.CRITICAL: (timedelta(seconds=10),)})
    assert soon.of_lane(Lane.CRITICAL).offsets == (timedelta(seconds=10),)
    assert soon.of_lane(Lane.BULK) == soon
