from collections.abc import Iterable
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.reports import Report, state_after
from delivery.domain.states import TRANSITIONS, State

S, R = State, Report
REPORTS = st.lists(st.sampled_from(Report), max_size=8)
IN_A_PROVIDERS_HANDS = [S.SUBMITTING, S.SUBMITTED, S.UNCONFIRMED, S.HELD]
THOUGHT_ELSEWHERE = [S.QUEUED, S.RETRYING, S.DEAD, S.FAILED, S.REJECTED, S.EXPIRED]
NEVER_SENT = [S.SCHEDULED, S.SUPPRESSED, S.CANCELED]


def _after(reports: Iterable[Report], *, start: State = S.SUBMITTED, calls: int = 1) -> State:
    state = start
    for report in reports:
        state = state_after(report, state=state, calls=calls) or state
    return state


def _rank(state: State) -> int:
    """The precedence: complained over bounced over delivered over the rest."""
    return {S.DELIVERED: 1, S.BOUNCED: 2, S.COMPLAINED: 3}.get(state, 0)


@pytest.mark.parametrize("report", list(Report))
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("calls", [0, 1, 2])
def test_every_reported_change_is_a_transition_of_the_table(report: Report, state: State, calls: int) -> None:
    after = state_after(report, state=state, calls=calls)
    assert after is None or after in TRANSITIONS[state]


@pytest.mark.parametrize("report", list(Report))
@pytest.mark.parametrize("state", IN_A_PROVIDERS_HANDS)
def test_a_report_on_an_email_in_the_providers_hands_is_believed(report: Report, state: State) -> None:
    assert state_after(report, state=state, calls=1) == report.value


@pytest.mark.parametrize("report", [R.DELIVERED, R.BOUNCED, R.COMPLAINED])
@pytest.mark.parametrize("state", THOUGHT_ELSEWHERE)
def test_the_providers_word_that_it_went_out_is_believed_against_our_own(
    report: Report, state: State
) -> None:
    assert state_after(report, state=state, calls=1) == report.value


@pytest.mark.parametrize("report", [R.REJECTED, R.FAILED])
@pytest.mark.parametrize("state", THOUGHT_ELSEWHERE)
def test_a_failure_of_an_earlier_attempt_changes_nothing_for_the_next(report: Report, state: State) -> None:
    assert state_after(report, state=state, calls=1) is None


@pytest.mark.parametrize("report", [R.REJECTED, R.FAILED])
def test_a_failure_that_comes_during_a_second_call_does_not_hide_that_calls_answer(report: Report) -> None:
    assert state_after(report, state=S.SUBMITTING, calls=2) is None
    assert state_after(report, state=S.SUBMITTING, calls=1) == report.value


@pytest.mark.parametrize("report", list(Report))
@pytest.mark.parametrize("state", list(State))
def test_an_email_that_no_provider_ever_got_cant_be_reported_on(report: Report, state: State) -> None:
    assert state_after(report, state=state, calls=0) is None


@pytest.mark.parametrize("report", list(Report))
@pytest.mark.parametrize("state", NEVER_SENT)
def test_what_was_never_to_be_sent_is_not_moved_by_a_report(report: Report, state: State) -> None:
    assert state_after(report, state=state, calls=1) is None


@pytest.mark.parametrize("report", list(Report))
def test_the_same_report_twice_is_the_same_as_once(report: Report) -> None:
    assert _after([report, report]) == _after([report])


@given(REPORTS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_change_the_precedence(reports: list[Report], chance: Random) -> None:
    shuffled = list(reports)
    chance.shuffle(shuffled)
    assert _rank(_after(shuffled)) == _rank(_after(reports))


@given(REPORTS)
def test_the_most_telling_report_wins(reports: list[Report]) -> None:
    expected = max((_rank(State(report.value)) for report in reports), default=0)
    assert _rank(_after(reports)) == expected


@given(REPORTS, st.sampled_from(IN_A_PROVIDERS_HANDS + THOUGHT_ELSEWHERE))
def test_no_sequence_loses_a_complaint_or_a_late_bounce(reports: list[Report], start: State) -> None:
    end = _after(reports, start=start)
    if R.COMPLAINED in reports:
        assert end is S.COMPLAINED
    elif R.BOUNCED in reports:
        assert end is S.BOUNCED


def test_every_order_of_all_reports_ends_complained() -> None:
    assert {_after(order) for order in permutations(Report)} == {S.COMPLAINED}


def test_every_order_without_a_complaint_ends_bounced() -> None:
    reports = [report for report in Report if report is not R.COMPLAINED]
    assert {_after(order) for order in permutations(reports)} == {S.BOUNCED}
