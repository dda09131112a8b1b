from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.recipients import RecipientReport, is_news, recipient_states, state_of_several
from delivery.domain.reports import Report
from delivery.domain.states import TRANSITIONS, State
from tests.unit.delivery.builders import NOW

ALL = ("ann", "ben", "cat")
R, S = Report, State
REPORTS = st.lists(st.tuples(st.sampled_from(ALL), st.sampled_from(Report)), max_size=9)


def told(recipient: str, report: Report) -> RecipientReport:
    return RecipientReport(recipient, report, NOW)


def after(reports: Sequence[tuple[str, Report]], *, state: State = S.SUBMITTED) -> State:
    """Where an email to all three stands after these reports in this order."""
    reported: list[RecipientReport] = []
    for recipient, report in reports:
        item = told(recipient, report)
        if is_news(item, recipients=ALL, reported=reported):
            reported.append(item)
            next_one = state_of_several(ALL, reported, report=report, state=state, calls=1)
            assert next_one is None or next_one in TRANSITIONS[state]
            state = next_one or state
    return state


def test_each_recipient_has_the_report_that_weighs_most() -> None:
    reported = [
        told("ben", R.FAILED),
        told("ann", R.DELIVERED),
        told("ben", R.DELIVERED),
        told("ann", R.BOUNCED),
    ]
    holding = recipient_states(ALL, reported)
    assert [item.report if item else None for item in holding] == [R.BOUNCED, R.DELIVERED, None]


@pytest.mark.parametrize("failure", [R.REJECTED, R.FAILED])
def test_the_failure_of_some_hides_nothing_of_the_others(failure: Report) -> None:
    assert after([("ann", failure)]) is S.SUBMITTED
    assert after([("ann", failure), ("ben", failure)]) is S.SUBMITTED
    assert after([("ann", failure), ("ben", R.DELIVERED), ("cat", failure)]) is S.DELIVERED


def test_an_email_fails_once_all_its_recipients_have() -> None:
    assert after([("ann", R.REJECTED), ("ben", R.REJECTED), ("cat", R.REJECTED)]) is S.REJECTED
    for order in permutations([("ann", R.FAILED), ("ben", R.REJECTED), ("cat", R.REJECTED)]):
        assert after(order) is S.FAILED


@given(REPORTS.flatmap(lambda reports: st.tuples(st.just(reports), st.permutations(reports))))
def test_where_an_email_ends_does_not_depend_on_the_order_of_its_reports(
    orders: tuple[list[tuple[str, Report]], list[tuple[str, Report]]],
) -> None:
    ends = {after(order) for order in orders}
    assert len(ends - {S.FAILED, S.REJECTED}) <= 1
    assert len(ends) == 1 or ends == {S.FAILED, S.REJECTED}


def test_what_is_said_of_a_stranger_is_no_news() -> None:
    assert not is_news(told("dan", R.DELIVERED), recipients=ALL, reported=[])
    assert is_news(told("ann", R.DELIVERED), recipients=ALL, reported=[])
    assert not is_news(told("ann", R.FAILED), recipients=ALL, reported=[told("ann", R.DELIVERED)])
