"""Dead and held emails are found whether their letter is owed or lies in its queue."""

from datetime import timedelta

import pytest

from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedTo
from delivery.domain.parking import Selection
from delivery.domain.states import State
from delivery.store.parked_emails import ParkedEmails
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import NOW, seconds

DIED = NOW + seconds(10)
DEAD = Selection(state=State.DEAD, until=DIED)


@pytest.fixture
def parked(postroom: Store) -> ParkedEmails:
    return ParkedEmails(postroom.db)


def die(store: Store, *email_ids: str, state: State = State.DEAD) -> None:
    """They owe their letters then."""
    claimed = [store.claim_one(email_id) for email_id in email_ids]
    owed, why = OwedTo(state.value), "attempts_exhausted"
    store.settle(*claimed, state=state, at=DIED, owed=owed, reason=why, last_error="HTTP 503")


def publish(store: Store, *email_ids: str) -> None:
    store.emails.clear_owed(store.emails.owing(email_ids), now=DIED)


def ids(parked: ParkedEmails, selection: Selection) -> set[str]:
    return {email.email_id for email in parked.find(selection)}


def test_each_is_found_before_and_after_its_letter_is_published(
    postroom: Store, parked: ParkedEmails
) -> None:
    postroom.insert("a", "b", "c", "waits")
    postroom.insert("d", lane=Lane.BULK)
    die(postroom, "a", "b", "d")
    die(postroom, "c", state=State.HELD)
    publish(postroom, "b", "c", "d")
    assert ids(parked, DEAD) == {"a", "b", "d"}
    assert ids(parked, Selection(state=State.HELD, until=DIED)) == {"c"}
    (email,) = (email for email in parked.find(DEAD) if email.email_id == "b")
    assert (email.reason, email.last_error, email.gen) == ("attempts_exhausted", "HTTP 503", 2)
    assert (email.parked_at, email.tenant_id) == (DIED, "default")


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({"lane": Lane.BULK}, ["b"]),
        ({"tenant_id": "default"}, ["a", "b"]),
        ({"tenant_id": "other"}, []),
        ({"reason": "attempts_exhausted"}, ["a", "b"]),
        ({"reason": "max_wait_exceeded"}, []),
        ({"since": DIED}, ["a", "b"]),
        ({"since": DIED + timedelta(milliseconds=1)}, []),
        ({"until": DIED - timedelta(milliseconds=1)}, []),
        ({"email_ids": ("a", "x")}, ["a"]),
    ],
    ids=str,
)
def test_they_are_chosen(
    postroom: Store, parked: ParkedEmails, chosen: dict[str, object], found: list[str]
) -> None:
    postroom.insert("a")
    postroom.insert("b", lane=Lane.BULK)
    die(postroom, "a", "b")
    publish(postroom, "b")
    values: dict[str, object] = {"state": State.DEAD, "until": DIED, **chosen}
    assert sorted(ids(parked, Selection(**values))) == found  # type: ignore[arg-type]  # of the fields' own types


def test_a_revived_one_is_parked_no_more(postroom: Store, parked: ParkedEmails) -> None:
    postroom.insert("a")
    die(postroom, "a")
    publish(postroom, "a")
    assert [owed.email_id for owed in postroom.emails.revive([("a", 2)], now=DIED)] == ["a"]
    assert ids(parked, DEAD) == set()
    assert "published" not in postroom.document("a")


def test_a_discarded_one_is_in_no_list_and_no_letter_revives_it(
    postroom: Store, parked: ParkedEmails
) -> None:
    postroom.insert("a", "b")
    die(postroom, "a", "b")
    publish(postroom, "b")
    assert parked.discard(State.DEAD, [("a", 2), ("b", 1), ("x", 1)], because="why", now=DIED) == 1
    assert parked.discard(State.HELD, [("b", 2)], because="why", now=DIED) == 0
    assert ids(parked, DEAD) == {"b"}
    assert postroom.emails.revive([("a", 2)], now=DIED) == []
    document = postroom.document("a")
    assert (document["state"], document["discarded"]["because"]) == ("dead", "why")
    assert document["history"][-1]["detail"] == "discarded: why"
    assert postroom.emails.owing(["a"]) == []
