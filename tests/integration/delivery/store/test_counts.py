"""Counts in a real store: changes by hours, and the recount that corrects them."""

from datetime import timedelta

import pytest

from delivery.domain.counts import Bin, Place, RecountState, TenantCounts
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from delivery.store.counts import StoredCounts
from delivery.use_cases.recount import recount
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import NOW

HOUR = timedelta(hours=1)
THEN = NOW + HOUR + timedelta(minutes=5)
"""When the emails that came at NOW can be recounted."""


@pytest.fixture
def counts(postroom: Store) -> StoredCounts:
    return StoredCounts(postroom.db)


def add(counts: StoredCounts, hours: int, tenant: str = "default", **by: int) -> None:
    place = Place(tenant, Lane.TRANSACTIONAL, NOW + hours * HOUR)
    counts.add({(place, Bin(each)): number for each, number in by.items()})


def numbers(found: TenantCounts, lane: Lane = Lane.TRANSACTIONAL) -> dict[str, int]:
    return {each.value: count for each, count in found.lanes[lane].items() if count}


def run(counts: StoredCounts) -> None:
    """Recount until all emails are in."""
    for _ in range(1000):
        if recount(counts, reports_deliveries=True, now=THEN, many=2) is not None:
            return
    raise AssertionError("it never ends")


def test_the_changes_of_all_hours_are_added_up(counts: StoredCounts) -> None:
    add(counts, 0, received=3, pending=3)
    add(counts, 1, pending=-2, sent=2)
    add(counts, 1, pending=-1, dead=1)
    add(counts, 1, tenant="default-2", received=7)
    found = counts.of_tenant("default")
    assert numbers(found) == {"received": 3, "sent": 2, "dead": 1}
    assert found.counted_at is None
    assert numbers(counts.of_tenant("default-2")) == {"received": 7}
    assert numbers(counts.of_tenant("nobody")) == {}


def test_a_recount_puts_right_what_was_lost_and_what_was_doubled(
    postroom: Store, counts: StoredCounts
) -> None:
    postroom.insert("a", "b", "c", "d", "e")
    postroom.insert("f", lane=Lane.BULK)
    for email_id, state in (("a", State.DELIVERED), ("b", State.DEAD), ("c", State.REJECTED)):
        postroom.change(email_id, state=state.value)
    add(counts, 0, received=9, pending=1, held=4)
    run(counts)
    found = counts.of_tenant("default")
    assert numbers(found) == {"received": 5, "pending": 2, "sent": 1, "dead": 1, "failed": 1}
    assert numbers(found, Lane.BULK) == {"received": 1, "pending": 1}
    assert found.counted_at == NOW + HOUR


def test_what_happens_during_a_recount_is_counted_once(postroom: Store, counts: StoredCounts) -> None:
    """Before its email's turn and after it."""
    for number, email_id in enumerate("abcd"):
        postroom.insert(email_id)
        postroom.change(email_id, accepted_at=NOW + timedelta(minutes=number))
    add(counts, 0, received=4, pending=4)
    late = NOW + HOUR + timedelta(minutes=1)
    began = {"default": NOW}
    minute = timedelta(minutes=1)
    counts.save(None, RecountState(until=NOW + HOUR, todo=began, beginnings=began, length=minute))
    recount(counts, reports_deliveries=True, now=THEN, many=2)
    state = counts.recount()
    assert state is not None
    assert state.todo == {"default": NOW + 3 * minute}, "the turn of a has come, and that of d not"
    for email_id in ("a", "d"):
        postroom.db.emails.update_one(
            {"_id": email_id},
            {
                "$set": {"state": "delivered", "updated_at": late},
                "$push": {"history": {"state": "delivered", "at": late}},
            },
        )
        add(counts, 1, pending=-1, sent=1)
    run(counts)
    assert numbers(counts.of_tenant("default")) == {"received": 4, "pending": 2, "sent": 2}


def test_the_hours_of_before_are_gone_and_a_late_change_of_one_makes_no_difference(
    postroom: Store, counts: StoredCounts
) -> None:
    postroom.insert("a")
    add(counts, 0, received=1, pending=1)
    run(counts)
    assert {document["_id"] for document in postroom.db.counts.find()} == {"recount", "default base"}
    add(counts, 0, received=1, pending=1)
    assert numbers(counts.of_tenant("default")) == {"received": 1, "pending": 1}


def test_two_processes_that_count_the_same_page_count_it_once(postroom: Store, counts: StoredCounts) -> None:
    postroom.insert("a", "b", "c")
    add(counts, 0, received=1)
    recount(counts, reports_deliveries=True, now=THEN, many=2)
    before = counts.recount()
    recount(counts, reports_deliveries=True, now=THEN, many=2)
    seen = counts.recount()
    assert before is not None
    assert seen is not None
    assert not seen.is_done
    assert not counts.save(before, seen)
    run(counts)
    assert numbers(counts.of_tenant("default")) == {"received": 3, "pending": 3}


def test_it_rests_until_another_hour_is_over(postroom: Store, counts: StoredCounts) -> None:
    run(counts)
    assert recount(counts, reports_deliveries=True, now=THEN + timedelta(minutes=59)) is None
    state = counts.recount()
    assert state is not None
    assert (state.until, state.is_done) == (NOW + HOUR, True)
    recount(counts, reports_deliveries=True, now=THEN + timedelta(minutes=60))
    state = counts.recount()
    assert state is not None
    assert (state.until, state.is_done) == (NOW + 2 * HOUR, False)
