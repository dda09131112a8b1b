"""The records of idempotency keys against the real store."""

from dataclasses import replace

import pytest

from delivery.domain.idempotency import KeyRecord
from delivery.domain.inserted import Inserted
from delivery.store.idempotency_keys import IdempotencyKeys
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import NOW, seconds

RECORD = KeyRecord(record_id="r1", tenant_id="default", fingerprint="f", email_ids=("1", "2"), created_at=NOW)


@pytest.fixture
def keys(postroom: Store) -> IdempotencyKeys:
    return IdempotencyKeys(postroom.db)


def test_the_first_record_of_a_key_stays(keys: IdempotencyKeys) -> None:
    other = replace(RECORD, record_id="r2")
    assert keys.insert([RECORD]) == Inserted()
    assert keys.insert([replace(RECORD, email_ids=("3",)), other]) == Inserted(known=frozenset({"r1"}))
    assert keys.find(["r1", "r2", "r3"]) == {"r1": RECORD, "r2": other}


def test_of_those_who_replace_it_one_wins(keys: IdempotencyKeys) -> None:
    keys.insert([RECORD])
    mine, theirs = (replace(RECORD, email_ids=(i,), created_at=NOW + seconds(1)) for i in ("3", "4"))
    assert keys.replace(RECORD, mine)
    assert not keys.replace(RECORD, theirs)
    assert keys.find(["r1"]) == {"r1": mine}


def test_the_store_forgets_them_by_itself(postroom: Store) -> None:
    index = postroom.db.idempotency_keys.index_information()["expiry"]
    assert index["expireAfterSeconds"] == 48 * 3600
