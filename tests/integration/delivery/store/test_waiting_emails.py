"""What is kept for finding lost messages: apart for each tenant, as its queues are."""

import pytest

from delivery.domain.lanes import Lane
from delivery.domain.tenants import Tenant
from delivery.domain.watermarks import Way
from delivery.store.tenants import Tenants
from delivery.store.waiting_emails import WaitingEmails
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import NOW, seconds

OURS, ACMES = Way(Lane.BULK, 1), Way(Lane.BULK, 1, "acme")


@pytest.fixture
def waiting(postroom: Store) -> WaitingEmails:
    return WaitingEmails(postroom.db)


def test_watermarks_only_rise_each_on_its_own(waiting: WaitingEmails) -> None:
    waiting.raise_watermarks({OURS: NOW, ACMES: NOW + seconds(5)})
    waiting.raise_watermarks({OURS: NOW + seconds(9), ACMES: NOW})
    waiting.raise_watermarks({})
    assert waiting.watermarks() == {OURS: NOW + seconds(9), ACMES: NOW + seconds(5)}


def test_a_watermark_from_before_there_were_tenants_is_the_default_tenants(
    postroom: Store, waiting: WaitingEmails
) -> None:
    postroom.db.watermarks.insert_one({"_id": "bulk.1", "lane": "bulk", "priority": 1, "at": NOW})
    assert waiting.watermarks() == {OURS: NOW}
    waiting.raise_watermarks({OURS: NOW + seconds(1)})
    assert waiting.watermarks() == {OURS: NOW + seconds(1)}


def test_only_what_came_on_the_same_way_owes_another_message(postroom: Store, waiting: WaitingEmails) -> None:
    postroom.insert("ours", "acmes", "another priority", lane=Lane.BULK)
    for email_id, priority in (("ours", 1), ("acmes", 1), ("another priority", 2)):
        postroom.change(email_id, published={"at": NOW, "priority": priority})
    postroom.change("acmes", tenant_id="acme")
    assert waiting.came(ACMES, since=None, until=NOW)
    assert not waiting.came(Way(Lane.BULK, 2, "acme"), since=None, until=NOW)

    [owed] = waiting.owe_again(ACMES, before=NOW + seconds(1), now=NOW, limit=10)

    assert (owed.email_id, owed.tenant_id, owed.gen) == ("acmes", "acme", 2)
    assert not waiting.came(ACMES, since=None, until=NOW)
    assert waiting.came(OURS, since=None, until=NOW)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (-100_000, 0, True),
        (0, 0.5, True),
        (-0.5, 100_000, True),
        (-1000, -0.5, False),
        (0.5, 1000, False),
        (1, -1, False),
    ],
)
def test_what_came_in_a_time_is_found_in_whichever_part_of_it(
    postroom: Store, waiting: WaitingEmails, since: float, until: float, *, expected: bool
) -> None:
    postroom.insert("a", lane=Lane.BULK)
    postroom.change("a", published={"at": NOW, "priority": 1})
    assert waiting.came(OURS, since=NOW + seconds(since), until=NOW + seconds(until)) is expected


def test_the_default_tenant_has_a_share_whether_or_not_anybody_created_it(postroom: Store) -> None:
    tenants = Tenants(postroom.db)
    assert tenants.shares() == {"default": 1}
    tenants.create(Tenant(tenant_id="acme", share=3))
    postroom.db.tenants.insert_one({"_id": "older", "lanes": [], "senders": [], "amqp_users": []})
    assert tenants.shares() == {"default": 1, "acme": 3, "older": 1}
    tenants.put(Tenant(tenant_id="default", share=2))
    assert tenants.shares()["default"] == 2
