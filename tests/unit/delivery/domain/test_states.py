import pytest

from delivery.domain.states import (
    ANSWERED,
    CLAIMABLE,
    REVIVABLE,
    TRANSITIONS,
    State,
    Status,
    fold,
)

S = State
SENT = {S.DELIVERED, S.COMPLAINED}
FAILED = {S.REJECTED, S.FAILED, S.BOUNCED, S.DEAD, S.HELD, S.SUPPRESSED, S.CANCELED, S.EXPIRED}
PROCESSING = {S.SCHEDULED, S.QUEUED, S.SUBMITTING, S.RETRYING, S.UNCONFIRMED}


def test_every_state_is_in_the_table_and_leads_only_to_states() -> None:
    assert set(TRANSITIONS) == set(State)
    assert all(afters <= set(State) for afters in TRANSITIONS.values())


def test_no_state_leads_to_itself() -> None:
    assert not [state for state, afters in TRANSITIONS.items() if state in afters]


def test_every_state_can_be_reached() -> None:
    reached = {S.SCHEDULED, S.QUEUED}.union(*TRANSITIONS.values())
    assert reached == set(State)


@pytest.mark.parametrize("reports", [True, False])
@pytest.mark.parametrize("state", [state for state in State if state is not S.SUBMITTED])
def test_every_state_folds_to_one_of_three_words(state: State, reports: bool) -> None:
    expected = {
        **dict.fromkeys(SENT, Status.SENT),
        **dict.fromkeys(FAILED, Status.FAILED),
        **dict.fromkeys(PROCESSING, Status.PROCESSING),
    }
    assert fold(state, provider_reports_deliveries=reports) is expected[state]


def test_submitted_is_sent_only_where_the_provider_reports_no_deliveries() -> None:
    assert fold(S.SUBMITTED, provider_reports_deliveries=False) is Status.SENT
    assert fold(S.SUBMITTED, provider_reports_deliveries=True) is Status.PROCESSING


@pytest.mark.parametrize("state", list(State))
def test_a_report_that_never_came_makes_submitted_sent_and_nothing_else(state: State) -> None:
    reported = fold(state, provider_reports_deliveries=True)
    unreported = fold(state, provider_reports_deliveries=True, is_unreported=True)
    assert unreported is (Status.SENT if state is S.SUBMITTED else reported)


def test_submitted_is_sent_where_every_check_on_its_report_came_back_without_news() -> None:
    assert fold(S.SUBMITTED, provider_reports_deliveries=True, is_unreported=True) is Status.SENT
    assert fold(S.UNCONFIRMED, provider_reports_deliveries=True, is_unreported=True) is Status.PROCESSING


def test_only_from_claimable_states_is_an_email_claimed() -> None:
    assert {state for state, afters in TRANSITIONS.items() if S.SUBMITTING in afters} == CLAIMABLE


def test_a_parked_email_is_revived_and_no_other() -> None:
    queued_again = {state for state, afters in TRANSITIONS.items() if S.QUEUED in afters}
    assert queued_again - {S.SCHEDULED, S.SUBMITTING} == REVIVABLE


def test_nobody_waits_for_the_answer_of_an_email_that_has_one() -> None:
    assert (SENT | FAILED | {S.SUBMITTED}) == ANSWERED
