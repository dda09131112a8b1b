"""Claims against the real store: who wins, how long it holds, and what is given back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from delivery.domain.clocks import CLOCK_MARGIN
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, OwedTo
from delivery.domain.states import CLAIMABLE, State
from delivery.store.claims import Claims
from tests.integration.delivery.store.conftest import AFTER_LEASE, UNTIL, Store, ids, lost
from tests.unit.delivery.builders import NOW, seconds

LATER = NOW + seconds(60)
S = State


# Claiming


@pytest.mark.parametrize("state", sorted(CLAIMABLE))
def test_what_waits_and_is_due_is_won(postroom: Store, state: State) -> None:
    postroom.insert("a")
    postroom.change("a", state=state, attempts=2, waits=1, calls=2)
    won = postroom.claim_one("a", token="mine")
    assert (won.token, won.gen, won.attempts, won.waits, won.calls) == ("mine", 1, 2, 1, 3)
    document = postroom.document()
    assert document["state"] == S.SUBMITTING
    assert (document["claim"]["token"], document["claim"]["until"]) == ("mine", UNTIL)


def test_a_claim_strikes_the_debt_for_its_message_has_arrived(postroom: Store) -> None:
    postroom.insert("a")
    postroom.claim("a")
    assert postroom.emails.owing(["a"]) == []


def test_what_does_not_wait_is_not_won(postroom: Store) -> None:
    others = _one_of_each(postroom, set(State) - CLAIMABLE)
    assert postroom.claim(*others) == []
    assert [postroom.state(state) for state in others] == others


@pytest.mark.parametrize("gen", [1, 3])
def test_another_generation_is_not_won(postroom: Store, gen: int) -> None:
    postroom.insert("a")
    postroom.change("a", gen=2)
    assert postroom.claim("a", gen=gen) == []
    assert ids(postroom.claim("a", gen=2)) == ["a"]


def test_only_what_is_due_is_won(postroom: Store) -> None:
    postroom.insert("a", "b", "c")
    margin = CLOCK_MARGIN.total_seconds()  # whoever wrote due_at may have another clock
    for email_id, due_in in [("a", -1.0), ("b", margin), ("c", margin + 0.001)]:
        postroom.change(email_id, due_at=NOW + seconds(due_in))
    assert ids(postroom.claim("a", "b", "c")) == ["a", "b"]


def test_what_has_expired_is_not_won(postroom: Store) -> None:
    for email_id, expires_in in [("a", -1.0), ("b", 0.0), ("c", 0.001)]:
        postroom.insert(email_id, expires_at=NOW + seconds(expires_in))
    assert ids(postroom.claim("a", "b", "c")) == ["c"]


def test_a_batch_wins_what_it_can(postroom: Store) -> None:
    postroom.insert("a", "b", "c")
    postroom.change("b", state=S.CANCELED)
    assert ids(postroom.claim("a", "b", "c", "a", "d")) == ["a", "c"]


def test_two_claimers_never_both_win(postroom: Store) -> None:
    names = [f"{number:03}" for number in range(100)]
    postroom.insert(*names)

    def claim(token: str) -> list[str]:
        return ids(Claims(postroom.db).claim(names, gen=1, token=token, until=UNTIL, now=NOW))

    with ThreadPoolExecutor(6) as threads:
        won = list(threads.map(claim, ("one", "two", "three", "four", "five", "six")))
    assert sorted(name for names in won for name in names) == names
    assert all(postroom.document(name)["calls"] == 1 for name in names[:5])


def test_repeated_after_an_unknown_outcome_a_claim_returns_what_it_won(postroom: Store) -> None:
    postroom.insert("a", "b")
    first = postroom.claim("a", "b")
    before = postroom.document()
    assert postroom.claim("a", "b", now=NOW + seconds(1)) == first
    assert postroom.document() == before


def test_a_repeated_claim_wins_what_the_first_one_did_not_reach(postroom: Store) -> None:
    postroom.insert("a", "b")
    postroom.claim("a")
    assert ids(postroom.claim("a", "b")) == ["a", "b"]


def test_a_claim_that_ran_out_before_it_was_repeated_can_be_given_back(postroom: Store) -> None:
    """The store was away for longer than a lease: nothing was called, and the claimer knows it."""
    postroom.insert("a")
    postroom.claim("a")
    assert ids(postroom.run_out()) == ["a"]
    again = postroom.claim("a", now=UNTIL + seconds(9))
    assert ids(again) == ["a"]
    assert ids(postroom.claims.give_back(again, now=LATER)) == ["a"]
    assert postroom.state() is S.RETRYING


def test_another_token_does_not_find_what_ran_out(postroom: Store) -> None:
    postroom.insert("a")
    postroom.claim("a")
    postroom.run_out()
    assert postroom.claim("a", token="another") == []


# Expiry


def test_what_waits_beyond_its_time_ends(postroom: Store) -> None:
    postroom.insert("a", expires_at=NOW)
    postroom.insert("b", expires_at=NOW + seconds(1))
    postroom.insert("c")
    for _ in range(2):  # repeated, it tells the same
        assert postroom.claims.expire(["a", "b", "c"], now=NOW) == ["a"]
    assert postroom.claims.expire(["a", "b", "c"], now=LATER) == ["b"]
    postroom.change("b", state=S.QUEUED)
    assert [postroom.state(name) for name in "abc"] == [S.EXPIRED, S.QUEUED, S.QUEUED]
    assert postroom.emails.owing(["a"]) == []
    assert len(postroom.document()["history"]) == 1


def test_what_does_not_wait_does_not_expire(postroom: Store) -> None:
    others = _one_of_each(postroom, set(State) - CLAIMABLE, expires_at=NOW)
    postroom.claims.expire(others, now=NOW)
    assert [postroom.state(state) for state in others] == others


# Leases


def test_a_lease_is_renewed_only_under_its_token(postroom: Store) -> None:
    postroom.insert("a", "b", "c")
    postroom.claim("a", token="mine")
    postroom.claim("b", token="another")
    postroom.claims.renew(["a", "b", "c"], tokens=["mine"], until=UNTIL + seconds(30))
    assert postroom.document("a")["claim"]["until"] == UNTIL + seconds(30)
    assert postroom.document("b")["claim"]["until"] == UNTIL
    assert "claim" not in postroom.document("c")


def test_what_was_settled_is_not_renewed(postroom: Store) -> None:
    postroom.insert("a")
    postroom.settle(postroom.claim_one(), state=S.SUBMITTED)
    postroom.claims.renew(["a"], tokens=["token"], until=UNTIL + seconds(30))
    assert postroom.document()["claim"]["until"] == UNTIL


def test_a_lease_that_ran_out_leaves_an_email_unconfirmed_with_its_attempt_spent(postroom: Store) -> None:
    postroom.insert("a", "b")
    postroom.claim("a")
    assert ids(postroom.run_out()) == ["a"]
    assert postroom.run_out() == []
    document = postroom.document()
    assert (document["state"], document["attempts"]) == (S.UNCONFIRMED, 1)
    assert document["last_error"] == "lease ran out"
    assert len(document["history"]) == 1
    assert postroom.emails.owing(["a"]) == []
    assert postroom.state("b") is S.QUEUED


def test_what_ran_out_is_told(postroom: Store) -> None:
    postroom.insert("a", lane=Lane.BULK)
    postroom.claim("a")
    told = Happening(tenant_id="default", email_id="a", lane=Lane.BULK, state=S.UNCONFIRMED, at=AFTER_LEASE)
    assert postroom.run_out() == [told]


def test_a_lease_that_still_holds_is_left_alone(postroom: Store) -> None:
    postroom.insert("a")
    postroom.claim("a")
    assert postroom.run_out(before=UNTIL) == []
    assert postroom.state() is S.SUBMITTING


# Giving back


def test_what_was_not_called_is_queued_again_in_a_new_generation(postroom: Store) -> None:
    postroom.insert("a", "b")
    claimed = postroom.claim("a", "b")
    owed = postroom.claims.give_back(claimed, now=LATER)
    assert {(debt.email_id, debt.gen, debt.to) for debt in owed} == {
        ("a", 2, OwedTo.LANE),
        ("b", 2, OwedTo.LANE),
    }
    document = postroom.document()
    assert (document["state"], document["gen"], document["calls"], document["attempts"]) == (
        S.QUEUED,
        2,
        0,
        0,
    )
    assert "claim" not in document
    assert ids(postroom.claim("a", "b", gen=2)) == ["a", "b"]


def test_repeated_after_an_unknown_outcome_giving_back_ends_in_the_same_place_and_owes_the_same(
    postroom: Store,
) -> None:
    postroom.insert("a", "b")
    claimed = postroom.claim("a", "b")
    first = postroom.claims.give_back(claimed, now=LATER)
    before = postroom.document()
    assert sorted(postroom.claims.give_back(claimed, now=LATER + seconds(9)), key=_by_id) == sorted(
        first, key=_by_id
    )
    assert postroom.document() == before


def test_what_another_one_claimed_since_is_not_given_back(postroom: Store) -> None:
    postroom.insert("a")
    claimed = postroom.claim_one()
    assert postroom.claims.give_back([lost(claimed)], now=LATER) == []
    assert postroom.state() is S.SUBMITTING


def test_what_was_reported_on_is_not_given_back(postroom: Store) -> None:
    postroom.insert("a", "b")
    claimed = postroom.claim("a", "b")
    postroom.change("a", state=S.DELIVERED)
    postroom.change("b", state=S.FAILED)
    assert postroom.claims.give_back(claimed, now=LATER) == []
    assert [postroom.state(name) for name in "ab"] == [S.DELIVERED, S.FAILED]


def test_what_ran_out_before_its_call_is_plainly_unsent_again(postroom: Store) -> None:
    """A worker that was stopped for long and woken: it did not call, so nothing is unknown."""
    postroom.insert("a", "b")
    claimed = postroom.claim("a", "b")
    postroom.change("b", **{"claim.until": UNTIL + timedelta(hours=1)})
    postroom.run_out()
    assert ids(postroom.claims.give_back(claimed, now=LATER)) == ["a", "b"]
    ran_out = postroom.document("a")
    assert (ran_out["state"], ran_out["attempts"], ran_out["calls"]) == (S.RETRYING, 0, 0)
    assert "question" not in ran_out
    assert postroom.state("b") is S.QUEUED
    assert ids(postroom.claim("a", "b", gen=2)) == ["a", "b"]


def _one_of_each(postroom: Store, states: set[State], **changes: Any) -> list[State]:
    """An email in each of these states, which is also its id."""
    postroom.insert(*states, **changes)
    for state in states:
        postroom.change(state, state=state)
    return sorted(states)


def _by_id(owed: OwedEmail) -> str:
    return owed.email_id
