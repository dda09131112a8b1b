"""What waits in a lane for too long, against the real store."""

from collections.abc import Sequence

import pytest

from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedTo, Written
from delivery.domain.states import CLAIMABLE, State
from delivery.domain.waiting import EXPIRED, OVERDUE, Waiting
from delivery.domain.watermarks import Way
from delivery.store.overdue_emails import OverdueEmails
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import NOW, seconds

WAY = Way(Lane.STANDARD, 1)
LATER = NOW + seconds(600)


def publish(postroom: Store, *email_ids: str, came: float = 0, priority: int = 1, **fields: object) -> None:
    """Emails of the standard lane whose messages came into it so many seconds after NOW."""
    postroom.insert(*email_ids, lane=Lane.STANDARD, **fields)
    for email_id in email_ids:
        postroom.change(email_id, published={"at": NOW + seconds(came), "priority": priority})
        postroom.db.emails.update_one({"_id": email_id}, {"$unset": {"owed": ""}})


def look(
    overdue: OverdueEmails, *, since: float | None = None, skip: int = 0, limit: int = 100
) -> list[Waiting]:
    since_at = None if since is None else NOW + seconds(since)
    return overdue.waiting(WAY, since=since_at, until=LATER, skip=skip, limit=limit)


def ids(found: Sequence[Waiting]) -> list[str]:
    return [email.email_id for email in found]


@pytest.fixture
def overdue(postroom: Store) -> OverdueEmails:
    return OverdueEmails(postroom.db)


def test_a_lane_is_looked_through_in_the_order_its_messages_came(
    postroom: Store, overdue: OverdueEmails
) -> None:
    for email_id, came in [("c", 3), ("a", 1), ("d", 4), ("b", 2)]:
        publish(postroom, email_id, came=came, expires_at=NOW + seconds(60))
    assert ids(look(overdue)) == ["a", "b", "c", "d"]
    assert ids(look(overdue, limit=2)) == ["a", "b"]
    assert ids(look(overdue, since=2, skip=1)) == ["c", "d"]
    first = look(overdue)[0]
    assert (first.came_at, first.waiting_since, first.expires_at) == (
        NOW + seconds(1),
        NOW,
        NOW + seconds(60),
    )


def test_only_what_lies_in_this_lane_with_this_priority_by_now_is_looked_at(
    postroom: Store, overdue: OverdueEmails
) -> None:
    publish(postroom, "here")
    publish(postroom, "urgent", priority=3)
    publish(postroom, "delayed", came=601)
    postroom.insert("owed", lane=Lane.STANDARD)
    postroom.insert("elsewhere", lane=Lane.BULK)
    postroom.change("elsewhere", published={"at": NOW, "priority": 1})
    assert ids(look(overdue)) == ["here"]


@pytest.mark.parametrize("state", sorted(CLAIMABLE))
def test_what_waited_too_long_is_dead_and_owes_its_letter(
    postroom: Store, overdue: OverdueEmails, state: State
) -> None:
    publish(postroom, "a")
    postroom.change("a", state=state, gen=4, attempts=2)
    written = overdue.end(look(overdue), OVERDUE, now=LATER)
    assert written.moved == {"a"}
    (letter,) = written.owed
    assert (letter.to, letter.gen, letter.attempts, letter.died_at) == (OwedTo.DEAD, 5, 2, LATER)
    document = postroom.document()
    assert (document["state"], document["gen"], document["reason"]) == ("dead", 5, "max_wait_exceeded")
    assert look(overdue) == []
    assert postroom.claim("a", gen=4, now=LATER) == [], "its message is stale"


def test_what_expired_owes_nothing(postroom: Store, overdue: OverdueEmails) -> None:
    publish(postroom, "a")
    assert overdue.end(look(overdue), EXPIRED, now=LATER) == Written(moved=frozenset("a"))
    assert (postroom.state(), postroom.document()["gen"]) == (State.EXPIRED, 1)
    assert look(overdue) == []


def test_what_was_claimed_or_moved_on_meanwhile_stays_as_it_is(
    postroom: Store, overdue: OverdueEmails
) -> None:
    publish(postroom, "claimed", "republished", "waiting")
    seen = look(overdue)
    postroom.claim("claimed")
    postroom.change("republished", gen=2)
    written = overdue.end(seen, OVERDUE, now=LATER)
    assert written.moved == {"waiting"}
    assert [letter.email_id for letter in written.owed] == ["waiting"]
    assert postroom.state("claimed") is State.SUBMITTING
    assert postroom.state("republished") is State.QUEUED


def test_ending_twice_changes_nothing_more(postroom: Store, overdue: OverdueEmails) -> None:
    publish(postroom, "a")
    seen = look(overdue)
    overdue.end(seen, OVERDUE, now=LATER)
    overdue.end(seen, OVERDUE, now=LATER + seconds(5))
    assert (postroom.document()["gen"], postroom.document()["updated_at"]) == (2, LATER)
