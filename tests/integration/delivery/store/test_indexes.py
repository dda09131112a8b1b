"""The indexes: there from the first, small, and used by the queries that they are for."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from delivery.domain.lanes import Lane
from delivery.domain.provider_events import ProviderEvent
from delivery.domain.reports import Report
from delivery.domain.states import State
from delivery.domain.watermarks import Way
from delivery.store.client import Document
from delivery.store.indexes import COLLECTIONS, SET, create_indexes
from delivery.store.waiting_emails import published
from tests.integration.delivery.store.conftest import UNTIL, Store
from tests.unit.delivery.builders import NOW, seconds

LATE = NOW + seconds(3600)

QUERIES: dict[str, tuple[str, Document]] = {
    "owed": ("emails", {"lane": Lane.BULK.value, "owed.at": {**SET, "$lte": NOW}}),
    "scheduled": ("emails", {"lane": Lane.BULK.value, "scheduled.at": {**SET, "$lte": NOW + seconds(60)}}),
    "published_by_tenant": ("emails", published(Way(Lane.BULK, 1), {**SET, "$lt": NOW + seconds(1)})),
    "listed": ("emails", {"tenant_id": "default", "accepted_at": {"$gte": LATE, "$lt": LATE + seconds(1)}}),
    "leases": ("emails", {"state": State.SUBMITTING.value, "claim.until": {"$lt": UNTIL + seconds(9)}}),
    "pending": ("provider_events", {"pending": True, "received_at": {"$lte": NOW}}),
}


def _indexes_of(plan: Any) -> set[str]:
    """The names of all indexes that an explained plan scans."""
    if isinstance(plan, dict):
        own = {plan["indexName"]} if "indexName" in plan else set[str]()
        return own.union(*(_indexes_of(value) for value in plan.values()))
    if isinstance(plan, list):
        return set[str]().union(*(_indexes_of(value) for value in plan))
    return set()


def _fill(postroom: Store) -> None:
    """Much history, a little to do."""
    done = [f"done {number}" for number in range(200)]
    postroom.insert(*done, lane=Lane.BULK)
    postroom.db.emails.update_many({}, {"$set": {"state": "delivered"}, "$unset": {"owed": ""}})
    postroom.insert("owing", "submitting", lane=Lane.BULK)
    postroom.change("owing", published={"at": NOW, "priority": 1})
    postroom.claim("submitting")
    postroom.insert("late", lane=Lane.STANDARD)
    postroom.change("late", accepted_at=LATE)
    postroom.insert("scheduled", lane=Lane.BULK, send_at=NOW + seconds(60))
    events = [
        ProviderEvent(provider="p", provider_event_id=str(n), email_id="x", report=Report.FAILED, raw="{}")
        for n in range(50)
    ]
    postroom.events.insert(events, now=NOW)
    postroom.events.record_effects({"no_change": [event.event_id for event in events[1:]]}, now=NOW)


@pytest.mark.parametrize("name", QUERIES)
def test_the_query_is_served_by_its_partial_index(postroom: Store, name: str) -> None:
    _fill(postroom)
    collection, query = QUERIES[name]
    cursor = postroom.db[collection].find(query)
    assert _indexes_of(cursor.explain()["queryPlanner"]["winningPlan"]) == {name}
    assert len(list(postroom.db[collection].find(query))) == 1


def test_several_processes_that_find_nothing_create_all_collections(postroom: Store) -> None:
    postroom.db.client.drop_database(postroom.db.name)
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(create_indexes, postroom.db) for _ in range(4)]:
            done.result()
    assert set(postroom.db.list_collection_names()) == COLLECTIONS


def test_creating_them_again_from_several_processes_does_no_harm(postroom: Store) -> None:
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(create_indexes, postroom.db) for _ in range(4)]:
            done.result()
    assert {"owed", "leases"} <= postroom.db.emails.index_information().keys()
    assert "pending" in postroom.db.provider_events.index_information()


def test_only_the_primary_and_the_one_of_lists_hold_more_than_live_states(postroom: Store) -> None:
    whole = {"_id_", "listed"}
    for collection in (postroom.db.emails, postroom.db.provider_events):
        for name, index in collection.index_information().items():
            assert name in whole or "partialFilterExpression" in index
