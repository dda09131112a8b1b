"""Accepting, looking up and owing, against the real store."""

from datetime import datetime

import pytest

from delivery.domain.emails import DEFAULT_TENANT, NewEmail
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedTo
from delivery.domain.states import State
from delivery.store.emails import FEW_OWED, LONGEST_SPAN, Emails
from tests.integration.delivery.store.conftest import Store, ids
from tests.unit.delivery.builders import CONTENT, NOW, new_email, owed_email, seconds, standing

LATER = NOW + seconds(60)


# Accepting


def test_a_new_email_stands_queued_and_owes_its_first_message(postroom: Store) -> None:
    postroom.insert("a", lane=Lane.BULK, priority=3)
    assert postroom.emails.get(DEFAULT_TENANT, "a") == standing(email_id="a", lane=Lane.BULK)
    assert postroom.emails.owing(["a"]) == [owed_email(email_id="a", lane=Lane.BULK, priority=3)]


def test_times_come_back_as_they_went_in(postroom: Store) -> None:
    postroom.insert("a", expires_at=LATER)
    found = postroom.emails.get(DEFAULT_TENANT, "a")
    assert found is not None
    assert (found.accepted_at, found.expires_at) == (NOW, LATER)
    assert found.accepted_at.tzinfo is not None


def test_only_the_ids_that_were_there_before_are_told(postroom: Store) -> None:
    postroom.insert("a", "b")
    assert postroom.emails.insert([new_email(email_id) for email_id in "abcd"]).known == {"a", "b"}
    assert postroom.emails.standings("abcd").keys() == set("abcd")


def test_a_second_insert_changes_nothing_of_the_first(postroom: Store) -> None:
    postroom.insert("a", lane=Lane.BULK)
    postroom.claim("a")
    before = postroom.document()
    assert postroom.emails.insert([new_email("a", lane=Lane.CRITICAL)]).known == {"a"}
    assert postroom.document() == before


def test_an_id_that_comes_twice_in_one_batch_is_stored_once(postroom: Store) -> None:
    assert postroom.emails.insert([new_email("a"), new_email("a")]).known == {"a"}
    assert postroom.db.emails.count_documents({}) == 1


def test_one_that_cant_be_stored_spoils_no_other(postroom: Store) -> None:
    postroom.insert("a")
    postroom.db.command("collMod", "emails", validator={"_id": {"$ne": "c"}})
    inserted = postroom.emails.insert([new_email(email_id) for email_id in "abcd"])
    assert inserted.known == {"a"}
    assert inserted.failed == {"c"}
    assert postroom.emails.standings("abcd").keys() == set("abd")


def test_repeated_after_an_unknown_outcome_an_insert_ends_in_the_same_place_and_owes_the_same(
    postroom: Store,
) -> None:
    (new,) = postroom.insert("a")
    before = postroom.document()
    assert postroom.emails.insert([new]).known == {"a"}
    assert postroom.document() == before
    assert ids(postroom.emails.owing(["a"])) == ["a"]


def test_an_address_is_found_by_its_keyed_hash_and_not_by_itself(postroom: Store) -> None:
    postroom.insert("a")
    hashed = postroom.document()["recipient_hash"]
    assert len(hashed) == 64
    assert CONTENT.recipient not in hashed


# Looking up


def test_another_tenants_email_is_not_found(postroom: Store) -> None:
    postroom.insert("a")
    assert postroom.emails.get("another", "a") is None
    assert postroom.emails.get(DEFAULT_TENANT, "b") is None


def test_unknown_ids_are_left_out_of_standings(postroom: Store) -> None:
    postroom.insert("a", "b")
    assert postroom.emails.standings(["a", "b", "c"]).keys() == {"a", "b"}
    assert postroom.emails.standings([]) == {}


def test_content_hashes_are_found_whosever_tenants_they_are(postroom: Store) -> None:
    postroom.insert("a", "b")
    postroom.change("b", content_hash="abc", tenant_id="another")
    assert postroom.emails.content_hashes(["a", "b", "c"]) == {"a": "", "b": "abc"}


# What is owed


def test_the_oldest_debts_of_a_lane_come_first(postroom: Store) -> None:
    postroom.insert("a", "b", "c", "d")
    for email_id, age in [("a", 2.0), ("b", 4.0), ("c", 1.0), ("d", 3.0)]:
        postroom.change(email_id, **{"owed.at": NOW - seconds(age)})
    owed = postroom.emails.owed(Lane.TRANSACTIONAL, older_than=NOW, limit=3)
    assert [debt.email_id for debt in owed] == ["b", "d", "a"]


def test_only_debts_that_are_old_enough_come(postroom: Store) -> None:
    postroom.insert("a")
    assert postroom.emails.owed(Lane.TRANSACTIONAL, older_than=NOW - seconds(1), limit=9) == []
    assert ids(postroom.emails.owed(Lane.TRANSACTIONAL, older_than=NOW, limit=9)) == ["a"]


def test_each_lane_has_debts_of_its_own(postroom: Store) -> None:
    for lane in Lane:
        postroom.insert(f"of {lane}", lane=lane)
    for lane in Lane:
        assert ids(postroom.emails.owed(lane, older_than=NOW, limit=9)) == [f"of {lane}"]


def test_a_confirmed_debt_is_struck_and_striking_it_again_does_no_harm(postroom: Store) -> None:
    postroom.insert("a", "b")
    for _ in range(2):
        postroom.emails.clear_owed([owed_email(email_id="a")], now=NOW)
    assert ids(postroom.emails.owed(Lane.TRANSACTIONAL, older_than=NOW, limit=9)) == ["b"]


def test_a_debt_of_another_generation_stays(postroom: Store) -> None:
    """A retry was decided while the confirm of the first message was on its way."""
    postroom.insert("a", "b")
    late = [owed_email(email_id="a", gen=1), owed_email(email_id="b", gen=1)]
    postroom.change("a", gen=2, **{"owed.gen": 2})
    postroom.emails.clear_owed(late, now=NOW)
    assert ids(postroom.emails.owing(["a", "b"])) == ["a"]


def test_only_what_claims_have_not_struck_is_owed_still(postroom: Store) -> None:
    postroom.insert("a", "b", "c")
    debts = postroom.emails.owing(["a", "b", "c"])
    postroom.claim("b")
    assert ids(postroom.emails.still_owed(debts)) == ["a", "c"]
    postroom.claim("a", "c")
    assert postroom.emails.still_owed(debts) == []


def test_what_others_owe_is_not_taken_for_a_debt_of_these(postroom: Store) -> None:
    postroom.insert("a", "b", "of another time", "of another lane")
    postroom.change("of another time", **{"owed.at": LATER})
    postroom.change("of another lane", lane=Lane.BULK)
    debts = postroom.emails.owing(["a"])
    postroom.claim("a")
    assert postroom.emails.still_owed(debts) == []


def test_debts_of_several_lanes_and_times_are_found(postroom: Store) -> None:
    postroom.insert("a", "b", lane=Lane.BULK)
    postroom.insert("c", "d", lane=Lane.CRITICAL)
    postroom.change("d", **{"owed.at": LATER})
    debts = postroom.emails.owing(["a", "b", "c", "d"])
    postroom.claim("a")
    assert sorted(ids(postroom.emails.still_owed(debts))) == ["b", "c", "d"]


@pytest.mark.parametrize("since", [None, NOW - LONGEST_SPAN - seconds(1)])
def test_debts_that_can_not_be_looked_for_are_taken_for_owed(postroom: Store, since: datetime | None) -> None:
    debts = [owed_email(email_id="a", since=NOW), owed_email(email_id="b", since=since)]
    assert postroom.emails.still_owed(debts) == debts


def test_where_much_is_owed_all_is_taken_for_owed(postroom: Store) -> None:
    email_ids = [f"{number:03}" for number in range(FEW_OWED + 1)]
    postroom.insert(*email_ids)
    debts = postroom.emails.owing(email_ids)
    postroom.claim(email_ids[0])
    assert len(postroom.emails.still_owed(debts)) == len(email_ids)
    postroom.emails.clear_owed(debts, now=NOW)
    assert postroom.emails.still_owed(debts) == []


def test_nothing_to_strike_strikes_nothing(postroom: Store) -> None:
    postroom.insert("a")
    postroom.emails.clear_owed([], now=NOW)
    assert ids(postroom.emails.owing(["a"])) == ["a"]


# Reviving


@pytest.mark.parametrize("state", [State.DEAD, State.HELD])
def test_a_parked_email_is_queued_again_with_fresh_attempts(postroom: Store, state: State) -> None:
    postroom.insert("a")
    postroom.change("a", state=state, gen=3, attempts=5, waits=2, calls=5, reason="x")
    (owed,) = postroom.emails.revive([("a", 3)], now=LATER)
    assert (owed.gen, owed.to, owed.attempts, owed.waits) == (4, OwedTo.LANE, 0, 0)
    document = postroom.document()
    assert document["state"] == State.QUEUED
    assert (document["waiting_since"], document["due_at"]) == (LATER, LATER)
    assert document["calls"] == 5
    assert "reason" not in document
    assert document["requeues"] == 1


def test_a_letter_of_another_generation_revives_nothing(postroom: Store) -> None:
    postroom.insert("a")
    postroom.change("a", state=State.DEAD, gen=3)
    postroom.emails.clear_owed([owed_email(email_id="a")], now=NOW)
    assert postroom.emails.revive([("a", 2), ("a", 4)], now=LATER) == []
    assert postroom.state() is State.DEAD


def test_only_what_is_parked_is_revived(postroom: Store) -> None:
    others = sorted(set(State) - {State.DEAD, State.HELD})
    postroom.insert(*others)
    for state in others:
        postroom.change(state, state=state)
    postroom.emails.revive([(state, 1) for state in others], now=LATER)
    assert [postroom.state(state) for state in others] == others


def test_a_batch_of_letters_is_revived_each_in_its_generation(postroom: Store) -> None:
    postroom.insert("a", "b", "c")
    for email_id, gen in [("a", 2), ("b", 2), ("c", 5)]:
        postroom.change(email_id, state=State.DEAD, gen=gen)
    owed = postroom.emails.revive([("a", 2), ("b", 1), ("c", 5), ("c", 5), ("d", 1)], now=LATER)
    assert {(debt.email_id, debt.gen) for debt in owed} == {("a", 3), ("c", 6)}


def test_repeated_after_an_unknown_outcome_a_revival_ends_in_the_same_place_and_owes_the_same(
    postroom: Store,
) -> None:
    postroom.insert("a")
    postroom.change("a", state=State.DEAD, gen=3)
    first = postroom.emails.revive([("a", 3)], now=LATER)
    before = postroom.document()
    assert postroom.emails.revive([("a", 3)], now=LATER + seconds(9)) == first
    assert postroom.document() == before


def test_what_is_new_is_counted_and_what_was_there_before_is_not(postroom: Store) -> None:
    counted: list[NewEmail] = []
    emails = Emails(postroom.db, hash_key=b"key", count=counted.extend)
    emails.insert([new_email("a"), new_email("b")])
    emails.insert([new_email("b"), new_email("c")])
    assert [email.email_id for email in counted] == ["a", "b", "c"]
