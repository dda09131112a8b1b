"""Open questions against the real store: who is asked about when, and whose word is still written."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from delivery.domain.lanes import Lane, OnUnknown
from delivery.domain.owed import OwedTo, Written
from delivery.domain.provider_events import PendingEvent
from delivery.domain.questions import About, Question, outcome_question, report_question
from delivery.domain.reports import Report
from delivery.domain.states import State
from delivery.domain.unknowns import (
    NEVER_SEEN,
    Found,
    Questionable,
    Verdict,
    after_check,
    at_deadline,
    passed_over,
)
from delivery.store.indexes import SET
from delivery.use_cases.apply_provider_events import apply_provider_events
from tests.integration.delivery.store.conftest import Store, ids
from tests.unit.delivery.builders import CHECKS, NOW, claimed, policy, seconds

HOLD = policy(5, on_unknown=OnUnknown.HOLD)
RESEND = policy(5, on_unknown=OnUnknown.RESEND)
MINUTE = timedelta(minutes=1)
ASKED_AT = NOW + 5 * MINUTE
DEADLINE = NOW + 45 * MINUTE
S = State


def unconfirmed(postroom: Store, *email_ids: str, called_at: datetime = NOW, **request: Any) -> None:
    """Emails whose only call, begun and ended at that time, told nothing."""
    postroom.insert(*email_ids, **request)
    _settle(postroom, *email_ids, state=S.UNCONFIRMED, question=_outcome(called_at))


def submitted(postroom: Store, *email_ids: str, at: datetime = NOW, **request: Any) -> None:
    postroom.insert(*email_ids, **request)
    _settle(postroom, *email_ids, state=S.SUBMITTED, question=report_question(submitted_at=at, policy=CHECKS))


def _settle(postroom: Store, *email_ids: str, state: State, question: Question | None) -> None:
    postroom.settle(*postroom.claim(*email_ids), state=state, question=question)


def _outcome(called_at: datetime) -> Question:
    return outcome_question(
        called_at=called_at, ended_at=called_at, deadline=45 * MINUTE, policy=CHECKS, now=called_at
    )


def due(
    postroom: Store,
    about: About = About.OUTCOME,
    lane: Lane = Lane.TRANSACTIONAL,
    *,
    now: datetime = ASKED_AT,
) -> list[Questionable]:
    return postroom.questions.due(about, lane, now=now, limit=100)


def one_due(postroom: Store, about: About = About.OUTCOME, *, now: datetime = ASKED_AT) -> Questionable:
    (email,) = due(postroom, about, now=now)
    return email


def answer(email: Questionable, found: Found, *, now: datetime = ASKED_AT) -> tuple[Questionable, Verdict]:
    return email, after_check(email, found, lane=HOLD, policy=CHECKS, now=now)


def report(postroom: Store, email_id: str, what: Report = Report.DELIVERED) -> None:
    """The provider's webhook is applied."""
    event = PendingEvent(event_id="e", email_id=email_id, report=what, received_at=ASKED_AT)
    apply_provider_events(
        [event], events=postroom.events, emails=postroom.emails, reported=postroom.reported, now=ASKED_AT
    )


# Who is due


def test_only_what_is_due_in_this_lane_and_of_this_kind_is_found(postroom: Store) -> None:
    unconfirmed(postroom, "due")
    unconfirmed(postroom, "not yet", called_at=ASKED_AT - MINUTE + seconds(0.001))
    unconfirmed(postroom, "elsewhere", lane=Lane.BULK)
    submitted(postroom, "overdue", at=ASKED_AT - 30 * MINUTE)
    postroom.insert("fresh")
    assert ids(due(postroom)) == ["due"]
    assert ids(due(postroom, lane=Lane.BULK)) == ["elsewhere"]
    assert ids(due(postroom, About.REPORT)) == ["overdue"]
    assert ids(due(postroom, lane=Lane.CRITICAL)) == []


def test_the_longest_due_comes_first_whatever_the_order_of_ids(postroom: Store) -> None:
    for email_id, minutes in [("a", 1), ("b", 3), ("c", 2), ("d", 4)]:
        unconfirmed(postroom, email_id, called_at=ASKED_AT - (minutes + 1) * MINUTE)
    assert [email.email_id for email in due(postroom)] == ["d", "b", "c", "a"]
    first_two = postroom.questions.due(About.OUTCOME, Lane.TRANSACTIONAL, now=ASKED_AT, limit=2)
    assert [email.email_id for email in first_two] == ["d", "b"]


def test_what_is_found_is_the_email_as_it_stands(postroom: Store) -> None:
    unconfirmed(postroom, "a", on_unknown=OnUnknown.RESEND, expires_at=NOW + timedelta(hours=1))
    email = one_due(postroom)
    assert email == Questionable(
        email_id="a",
        tenant_id="default",
        lane=Lane.TRANSACTIONAL,
        state=S.UNCONFIRMED,
        gen=1,
        attempts=1,
        expires_at=NOW + timedelta(hours=1),
        on_unknown=OnUnknown.RESEND,
        question=_outcome(NOW),
    )


def test_undecided_is_what_is_unconfirmed_at_its_deadline(postroom: Store) -> None:
    unconfirmed(postroom, "over")
    unconfirmed(postroom, "still time", called_at=NOW + seconds(0.001))
    unconfirmed(postroom, "elsewhere", lane=Lane.BULK)
    submitted(postroom, "submitted")
    assert ids(postroom.questions.undecided(Lane.TRANSACTIONAL, now=DEADLINE, limit=10)) == ["over"]
    assert postroom.questions.undecided(Lane.TRANSACTIONAL, now=DEADLINE - seconds(0.001), limit=10) == []


# What is concluded


def test_no_news_sets_the_next_check(postroom: Store) -> None:
    unconfirmed(postroom, "a")
    postroom.questions.conclude([answer(one_due(postroom), Found.CANT_TELL)])
    assert due(postroom) == []
    (email,) = due(postroom, now=ASKED_AT + MINUTE)
    assert (email.state, email.question.checks) == (S.UNCONFIRMED, 1)


def test_after_the_last_check_nothing_is_due_and_the_deadline_stays(postroom: Store) -> None:
    unconfirmed(postroom, "a")
    for now in (ASKED_AT, ASKED_AT + MINUTE):
        postroom.questions.conclude([answer(one_due(postroom, now=now), Found.CANT_TELL, now=now)])
    assert due(postroom, now=DEADLINE) == []
    assert ids(postroom.questions.undecided(Lane.TRANSACTIONAL, now=DEADLINE, limit=10)) == ["a"]


@pytest.mark.parametrize("found", [Found.DELIVERED, Found.REJECTED, Found.FAILED])
def test_what_settles_it_closes_the_question(postroom: Store, found: Found) -> None:
    unconfirmed(postroom, "a")
    assert postroom.questions.conclude([answer(one_due(postroom), found)]) == Written(moved=frozenset("a"))
    document = postroom.document()
    assert document["state"] == found.value
    assert "question" not in document
    assert "owed" not in document
    assert document["history"][-1]["state"] == found.value


def test_what_turns_out_to_be_accepted_waits_for_its_report(postroom: Store) -> None:
    unconfirmed(postroom, "a")
    postroom.questions.conclude([answer(one_due(postroom), Found.ACCEPTED)])
    assert postroom.state() is S.SUBMITTED
    overdue_at = ASKED_AT + 30 * MINUTE
    assert ids(due(postroom, About.REPORT, now=overdue_at)) == ["a"]
    assert postroom.questions.undecided(Lane.TRANSACTIONAL, now=overdue_at + 100 * MINUTE, limit=10) == []


def test_what_is_sent_again_owes_its_lane_a_message_of_the_next_generation(postroom: Store) -> None:
    unconfirmed(postroom, "a")
    (owed,) = postroom.questions.conclude([answer(one_due(postroom), Found.NEVER_SEEN)]).owed
    assert (owed.email_id, owed.gen, owed.to, owed.due_at) == ("a", 2, OwedTo.LANE, ASKED_AT)
    assert postroom.document()["history"][-1]["detail"] == NEVER_SEEN
    assert postroom.claim("a", gen=2, now=ASKED_AT) != []


def test_what_is_held_owes_a_letter_that_says_why(postroom: Store) -> None:
    unconfirmed(postroom, "a", lane=Lane.BULK)
    (email,) = postroom.questions.undecided(Lane.BULK, now=DEADLINE, limit=10)
    (owed,) = postroom.questions.conclude([(email, at_deadline(email, lane=HOLD, now=DEADLINE))]).owed
    assert (owed.gen, owed.to, owed.reason, owed.attempts) == (2, OwedTo.HELD, "outcome unknown", 1)
    assert owed.died_at == DEADLINE
    assert postroom.state() is S.HELD


def test_an_overdue_report_that_never_comes_is_noted_and_asked_for_no_more(postroom: Store) -> None:
    submitted(postroom, "a")
    for now in (ASKED_AT + 30 * MINUTE, ASKED_AT + 40 * MINUTE):
        email = one_due(postroom, About.REPORT, now=now)
        assert not postroom.emails.standings(["a"])["a"].is_unreported
        postroom.questions.conclude([answer(email, Found.ACCEPTED, now=now)])
    standing = postroom.emails.standings(["a"])["a"]
    assert (standing.state, standing.is_unreported) == (S.SUBMITTED, True)
    assert due(postroom, About.REPORT, now=NOW + timedelta(days=1)) == []


def test_an_overdue_report_that_is_passed_over_is_noted_and_still_asked_for(postroom: Store) -> None:
    submitted(postroom, "a")
    now = NOW + timedelta(hours=1)
    email = one_due(postroom, About.REPORT, now=now)
    postroom.questions.conclude([(email, passed_over(email, policy=CHECKS, now=now))])
    assert postroom.emails.standings(["a"])["a"].is_unreported
    later = one_due(postroom, About.REPORT, now=now + MINUTE)
    postroom.questions.conclude([answer(later, Found.DELIVERED, now=now + MINUTE)])
    assert postroom.state() is S.DELIVERED


def test_each_email_of_a_batch_gets_its_own_verdict(postroom: Store) -> None:
    unconfirmed(postroom, "a", "b", "c", "d")
    verdicts = [Found.DELIVERED, Found.NEVER_SEEN, Found.CANT_TELL, Found.FAILED]
    batch = [answer(email, found) for email, found in zip(due(postroom), verdicts, strict=True)]
    assert ids(postroom.questions.conclude(batch).owed) == ["b"]
    states = [postroom.state(email_id) for email_id in "abcd"]
    assert states == [S.DELIVERED, S.RETRYING, S.UNCONFIRMED, S.FAILED]


def test_nothing_to_conclude_is_no_call(postroom: Store) -> None:
    assert postroom.questions.conclude([]) == Written()


# Who spoke first


def _reported(postroom: Store) -> None:
    report(postroom, "a", Report.COMPLAINED)


def _answered_late(postroom: Store) -> None:
    claim = postroom.document()["claim"]
    email = claimed(email_id="a", token=claim["token"])
    postroom.settle(email, state=S.SUBMITTED)


def _asked_already(postroom: Store) -> None:
    postroom.questions.conclude([answer(one_due(postroom), Found.CANT_TELL)])


def _decided(postroom: Store) -> None:
    (email,) = postroom.questions.undecided(Lane.TRANSACTIONAL, now=DEADLINE, limit=10)
    postroom.questions.conclude([(email, at_deadline(email, lane=HOLD, now=DEADLINE))])


def _retried_and_unknown_again(postroom: Store) -> None:
    (email,) = postroom.questions.undecided(Lane.TRANSACTIONAL, now=DEADLINE, limit=10)
    postroom.questions.conclude([(email, at_deadline(email, lane=RESEND, now=DEADLINE))])
    again = postroom.claim_one("a", gen=2, token="next", now=DEADLINE)
    postroom.settle(again, state=S.UNCONFIRMED, question=_outcome(DEADLINE))


MEANWHILE: dict[str, tuple[Callable[[Store], None], State]] = {
    "a webhook": (_reported, S.COMPLAINED),
    "the worker's own late answer": (_answered_late, S.SUBMITTED),
    "another process that asked": (_asked_already, S.UNCONFIRMED),
    "the deadline": (_decided, S.HELD),
    "a whole further attempt": (_retried_and_unknown_again, S.UNCONFIRMED),
}


@pytest.mark.parametrize("who", MEANWHILE)
@pytest.mark.parametrize("found", [Found.NEVER_SEEN, Found.DELIVERED, Found.CANT_TELL])
def test_an_answer_counts_only_if_the_email_still_is_where_it_was(
    postroom: Store, who: str, found: Found
) -> None:
    meanwhile, state = MEANWHILE[who]
    unconfirmed(postroom, "a")
    late = answer(one_due(postroom), found)
    meanwhile(postroom)
    before = postroom.document()
    postroom.questions.conclude([late])
    assert postroom.document() == before
    assert postroom.state() is state


@pytest.mark.parametrize("who", ["a webhook", "the worker's own late answer", "a whole further attempt"])
def test_a_decision_counts_only_if_the_email_still_is_where_it_was(postroom: Store, who: str) -> None:
    meanwhile, state = MEANWHILE[who]
    unconfirmed(postroom, "a")
    (email,) = postroom.questions.undecided(Lane.TRANSACTIONAL, now=DEADLINE, limit=10)
    meanwhile(postroom)
    postroom.questions.conclude([(email, at_deadline(email, lane=HOLD, now=DEADLINE))])
    assert postroom.state() is state


def test_a_batch_is_written_for_those_that_are_still_there(postroom: Store) -> None:
    unconfirmed(postroom, "a", "b")
    batch = [answer(email, Found.NEVER_SEEN) for email in due(postroom)]
    _reported(postroom)
    assert ids(postroom.questions.conclude(batch).owed) == ["b"]
    assert (postroom.state("a"), postroom.state("b")) == (S.COMPLAINED, S.RETRYING)


# Writing again after an unknown outcome


def test_concluding_again_changes_nothing_and_returns_the_same_debts(postroom: Store) -> None:
    unconfirmed(postroom, "a", "b", "c")
    found = [Found.NEVER_SEEN, Found.DELIVERED, Found.CANT_TELL]
    batch = [answer(email, what) for email, what in zip(due(postroom), found, strict=True)]
    first = postroom.questions.conclude(batch)
    documents = [postroom.document(email_id) for email_id in "abc"]
    assert postroom.questions.conclude(batch) == first
    assert [postroom.document(email_id) for email_id in "abc"] == documents


# What ends a question


def test_a_webhook_closes_it_and_takes_the_reason_along(postroom: Store) -> None:
    unconfirmed(postroom, "a")
    _decided(postroom)
    assert postroom.document()["reason"] == "outcome unknown"
    report(postroom, "a")
    document = postroom.document()
    assert document["state"] == S.DELIVERED
    assert not {"question", "owed", "reason"} & document.keys()


@pytest.mark.parametrize("state", [S.SUBMITTED, S.REJECTED, S.RETRYING])
def test_the_workers_own_late_answer_closes_it(postroom: Store, state: State) -> None:
    unconfirmed(postroom, "a")
    token = postroom.document()["claim"]["token"]
    late = claimed(email_id="a", token=token)
    owed = OwedTo.DELAY if state is S.RETRYING else None
    postroom.settle(late, state=state, owed=owed, due_at=ASKED_AT if owed else None)
    assert postroom.state() is state
    assert "question" not in postroom.document()
    assert due(postroom) == []


def test_a_requeued_email_has_none(postroom: Store) -> None:
    unconfirmed(postroom, "a")
    _decided(postroom)
    postroom.emails.revive([("a", 2)], now=DEADLINE)
    document = postroom.document()
    assert document["state"] == S.QUEUED
    assert not {"question", "reason"} & document.keys()


# The indexes

QUERIES = {
    "checks": {
        "question.about": "outcome",
        "lane": "transactional",
        "question.check_at": {**SET, "$lte": ASKED_AT},
    },
    "deadlines": {
        "lane": "transactional",
        "question.decide_at": {**SET, "$lte": DEADLINE},
    },
}


@pytest.mark.parametrize("index", QUERIES)
def test_due_checks_and_deadlines_are_found_by_an_index_of_their_own(postroom: Store, index: str) -> None:
    done = [f"done {number}" for number in range(50)]
    unconfirmed(postroom, *done)
    postroom.questions.conclude([answer(email, Found.DELIVERED) for email in due(postroom)])
    unconfirmed(postroom, "open")
    plan = postroom.db.emails.find(QUERIES[index]).explain()["queryPlanner"]["winningPlan"]
    assert f"'indexName': '{index}'" in str(plan)
    assert postroom.db.emails.index_information()[index]["partialFilterExpression"]
