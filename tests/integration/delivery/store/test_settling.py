"""Outcomes, written under their claims in the real store: whose word counts, and what a second write does."""

from dataclasses import replace
from typing import Any

import pytest

from delivery.domain.owed import OwedTo, Written
from delivery.domain.states import State
from tests.integration.delivery.store.conftest import Store, ids, lost, settlement
from tests.unit.delivery.builders import NOW, seconds

LATER = NOW + seconds(60)
S = State


def test_an_outcome_is_written_under_its_claim(postroom: Store) -> None:
    postroom.insert("a")
    assert postroom.settle(postroom.claim_one(), state=S.SUBMITTED) == []
    document = postroom.document()
    assert (document["state"], document["attempts"], document["gen"]) == (S.SUBMITTED, 1, 1)
    assert [entry["state"] for entry in document["history"]] == [S.SUBMITTED]


def test_a_retry_is_owed_in_a_new_generation(postroom: Store) -> None:
    postroom.insert("a")
    (owed,) = postroom.settle(
        postroom.claim_one(), state=S.RETRYING, owed=OwedTo.DELAY, due_at=LATER, last_error="HTTP 503"
    )
    assert (owed.email_id, owed.gen, owed.to, owed.due_at) == ("a", 2, OwedTo.DELAY, LATER)
    assert (owed.attempts, owed.last_error) == (1, "HTTP 503")
    assert postroom.claim("a", gen=2, now=NOW) == []
    assert ids(postroom.claim("a", gen=2, now=LATER)) == ["a"]


def test_a_death_is_owed_with_all_that_its_letter_tells(postroom: Store) -> None:
    postroom.insert("a")
    claimed = postroom.claim_one()
    (owed,) = postroom.settle(
        claimed, state=S.DEAD, owed=OwedTo.DEAD, reason="attempts_exhausted", last_error="HTTP 500 ERROR"
    )
    assert (owed.to, owed.reason, owed.last_error) == (OwedTo.DEAD, "attempts_exhausted", "HTTP 500 ERROR")
    assert owed.died_at == NOW + seconds(1)


def test_a_batch_of_all_kinds_is_settled_each_by_its_own(postroom: Store) -> None:
    names = "abcdef"
    postroom.insert(*names)
    postroom.change("f", gen=4)
    a, b, c, d, e = postroom.claim(*names[:5])
    (f,) = postroom.claim("f", gen=4)
    retry = {"owed": OwedTo.DELAY, "due_at": LATER}
    written = postroom.claims.settle(
        [
            (a, settlement(a, state=S.SUBMITTED)),
            (b, settlement(b, state=S.RETRYING, **retry)),
            (c, settlement(c, state=S.REJECTED, reason="HTTP 400")),
            (d, settlement(d, state=S.SUBMITTED)),
            (e, settlement(e, state=S.UNCONFIRMED)),
            (f, settlement(f, state=S.RETRYING, **retry)),
        ]
    )
    assert {(debt.email_id, debt.gen) for debt in written.owed} == {("b", 2), ("f", 5)}
    assert written.moved == set(names)
    assert [postroom.state(name) for name in names] == [
        S.SUBMITTED,
        S.RETRYING,
        S.REJECTED,
        S.SUBMITTED,
        S.UNCONFIRMED,
        S.RETRYING,
    ]


SETTLED: list[dict[str, Any]] = [
    {"state": S.SUBMITTED},
    {"state": S.REJECTED, "reason": "HTTP 400"},
    {"state": S.UNCONFIRMED},
    {"state": S.EXPIRED, "reason": "expired before its next attempt"},
    {"state": S.RETRYING, "owed": OwedTo.DELAY, "due_at": LATER},
    {"state": S.DEAD, "owed": OwedTo.DEAD, "reason": "attempts_exhausted"},
]


@pytest.mark.parametrize("outcome", SETTLED, ids=lambda outcome: outcome["state"])
def test_repeated_after_an_unknown_outcome_settling_ends_in_the_same_place_and_owes_the_same(
    postroom: Store, outcome: dict[str, Any]
) -> None:
    postroom.insert("a")
    claimed = postroom.claim_one()
    first = postroom.claims.settle([(claimed, settlement(claimed, **outcome))])
    before = postroom.document()
    assert postroom.claims.settle([(claimed, settlement(claimed, **outcome))]) == first
    assert first.moved == {"a"}
    later = {**outcome, "at": NOW + seconds(7)}
    assert postroom.claims.settle([(claimed, settlement(claimed, **later))]).owed == first.owed
    assert postroom.document() == before


@pytest.mark.parametrize("outcome", SETTLED, ids=lambda outcome: outcome["state"])
def test_a_worker_that_lost_its_claim_writes_nothing(postroom: Store, outcome: dict[str, Any]) -> None:
    postroom.insert("a")
    claimed = lost(postroom.claim_one())
    before = postroom.document()
    assert postroom.claims.settle([(claimed, settlement(claimed, **outcome))]) == Written()
    assert postroom.document() == before


@pytest.mark.parametrize("outcome", SETTLED, ids=lambda outcome: outcome["state"])
def test_a_worker_of_an_earlier_generation_writes_nothing(postroom: Store, outcome: dict[str, Any]) -> None:
    postroom.insert("a")
    claimed = postroom.claim_one()
    postroom.claims.give_back([claimed], now=LATER)
    postroom.claim("a", gen=2, token="another")
    before = postroom.document()
    assert postroom.claims.settle([(claimed, settlement(claimed, **outcome))]) == Written()
    assert postroom.document() == before


@pytest.mark.parametrize("outcome", SETTLED, ids=lambda outcome: outcome["state"])
def test_an_email_that_was_reported_on_meanwhile_keeps_the_reported_state(
    postroom: Store, outcome: dict[str, Any]
) -> None:
    reported = [S.DELIVERED, S.BOUNCED, S.COMPLAINED, S.REJECTED, S.FAILED]
    postroom.insert(*reported)
    claimed = postroom.claim(*reported)
    standings = postroom.emails.standings(reported)
    assert postroom.reported.apply([(standings[state], state) for state in reported], now=LATER)
    assert postroom.claims.settle([(email, settlement(email, **outcome)) for email in claimed]) == Written()
    assert [postroom.state(state) for state in reported] == reported


@pytest.mark.parametrize("outcome", SETTLED, ids=lambda outcome: outcome["state"])
def test_a_late_definite_outcome_settles_what_ran_out_under_its_token(
    postroom: Store, outcome: dict[str, Any]
) -> None:
    postroom.insert("a")
    claimed = postroom.claim_one()
    postroom.run_out()
    postroom.claims.settle([(claimed, settlement(claimed, **outcome))])
    document = postroom.document()
    assert document["state"] == outcome["state"]
    assert document["attempts"] == 1
    assert ("question" in document) is (outcome["state"] is S.UNCONFIRMED)


def test_a_late_outcome_under_another_token_settles_nothing_that_ran_out(postroom: Store) -> None:
    postroom.insert("a")
    claimed = lost(postroom.claim_one())
    postroom.run_out()
    postroom.settle(claimed, state=S.SUBMITTED)
    assert postroom.state() is S.UNCONFIRMED


def test_the_claims_of_one_batch_may_be_of_different_tokens(postroom: Store) -> None:
    postroom.insert("a", "b", "c")
    batch = [postroom.claim_one(name, token=f"of {name}") for name in "abc"]
    batch[2] = replace(batch[2], token="of a")
    postroom.settle(*batch[:2], state=S.SUBMITTED)
    assert [postroom.state(name) for name in "abc"] == [S.SUBMITTED, S.SUBMITTED, S.SUBMITTING]
