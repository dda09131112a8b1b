"""Keys and tenants against the real store."""

import pytest

from delivery.domain.api_keys import ApiKey, hash_of
from delivery.domain.errors import AlreadyThere
from delivery.domain.lanes import Lane
from delivery.domain.tenants import Scope, Tenant
from delivery.store.api_keys import ApiKeys
from delivery.store.tenants import Tenants
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import NOW, seconds

KEY = ApiKey(
    key_id="pr_000102030405",
    tenant_id="acme",
    name="billing",
    scopes=frozenset({Scope.SEND, Scope.READ}),
    secret_hash=hash_of("token"),
    created_at=NOW,
    expires_at=NOW + seconds(60),
)
ACME = Tenant(
    tenant_id="acme",
    lanes=frozenset({Lane.BULK, Lane.STANDARD}),
    senders=("*@acme.example",),
    amqp_users=("acme-shop", "acme-blog"),
)


@pytest.fixture
def keys(postroom: Store) -> ApiKeys:
    return ApiKeys(postroom.db)


@pytest.fixture
def tenants(postroom: Store) -> Tenants:
    return Tenants(postroom.db)


def test_a_key_comes_back_as_it_was_made(keys: ApiKeys) -> None:
    assert not keys.exist()
    keys.create(KEY)
    assert keys.exist()
    assert keys.get(KEY.key_id) == KEY
    assert keys.get("pr_ffffffffffff") is None
    assert (keys.of_tenant("acme"), keys.of_tenant("other")) == ([KEY], [])


def test_a_key_is_revoked_once_and_by_its_tenant_alone(keys: ApiKeys) -> None:
    keys.create(KEY)
    assert not keys.revoke("other", KEY.key_id, now=NOW)
    assert keys.revoke("acme", KEY.key_id, now=NOW)
    assert not keys.revoke("acme", KEY.key_id, now=NOW + seconds(1))
    revoked = keys.get(KEY.key_id)
    assert revoked is not None
    assert revoked.revoked_at == NOW


def test_the_last_use_never_goes_back(keys: ApiKeys) -> None:
    keys.create(KEY)
    for moment in (NOW + seconds(60), NOW):
        keys.note_use(KEY.key_id, now=moment)
    used = keys.get(KEY.key_id)
    assert used is not None
    assert used.last_used_at == NOW + seconds(60)


def test_a_tenant_comes_back_as_it_was_made(tenants: Tenants) -> None:
    tenants.create(ACME)
    assert (tenants.get("acme"), tenants.get("other"), tenants.all()) == (ACME, None, [ACME])
    with pytest.raises(AlreadyThere):
        tenants.create(Tenant(tenant_id="acme"))
    assert tenants.get("acme") == ACME


def test_users_of_the_broker_find_their_tenants(tenants: Tenants) -> None:
    other = Tenant(tenant_id="other", amqp_users=("other",))
    for tenant in (ACME, other):
        tenants.create(tenant)
    assert tenants.of_amqp_users(["acme-blog", "other", "nobody"]) == {"acme-blog": ACME, "other": other}
    tenants.put(Tenant(tenant_id="acme"))
    assert tenants.of_amqp_users(["acme-blog"]) == {}
