from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import pytest

from delivery.domain.api_keys import ID_BYTES, SECRET_BYTES, ApiKey, hash_of, make_token
from delivery.domain.errors import NotAuthenticated, StoreUnavailable
from delivery.domain.lanes import Lane
from delivery.domain.tenants import THE_DEFAULT, Scope, Tenant
from delivery.use_cases.identify_callers import REMEMBERED, USE_NOTED_EVERY, Callers, Publishers
from tests.unit.delivery.builders import NOW, seconds

ACME = Tenant(tenant_id="acme", lanes=frozenset({Lane.BULK}), amqp_users=("acme-shop",))
KEY_ID, TOKEN = make_token(bytes(range(ID_BYTES + SECRET_BYTES)))
KEY = ApiKey(
    key_id=KEY_ID,
    tenant_id="acme",
    name="billing",
    scopes=frozenset({Scope.SEND}),
    secret_hash=hash_of(TOKEN),
    created_at=NOW,
)
MOMENT = seconds(0.001)


class World:
    """Keys, tenants and a clock. looks: how often the store was asked for a key."""

    def __init__(self, *keys: ApiKey) -> None:
        self.keys = {key.key_id: key for key in keys}
        self.tenants = {"acme": ACME}
        self.now = NOW
        self.looks = 0
        self.uses: list[datetime] = []
        self.is_away = False

    def get(self, key_id: str) -> ApiKey | None:
        self._check()
        self.looks += 1
        return self.keys.get(key_id)

    def exist(self) -> bool:
        self._check()
        return bool(self.keys)

    def note_use(self, key_id: str, *, now: datetime) -> None:
        self.uses.append(now)

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")

    def callers(self, *configured: str) -> Callers:
        tenants = TenantsOf(self)
        return Callers(keys=self, tenants=tenants, configured=configured, clock=lambda: self.now)


class TenantsOf:
    def __init__(self, world: World) -> None:
        self.world = world
        self.looks = 0

    def get(self, tenant_id: str) -> Tenant | None:
        return self.world.tenants.get(tenant_id)

    def of_amqp_users(self, users: Iterable[str]) -> dict[str, Tenant]:
        self.looks += 1
        return {u: t for t in self.world.tenants.values() for u in users if u in t.amqp_users}


def test_a_key_says_who_calls_and_what_for() -> None:
    caller = World(KEY).callers().with_key(TOKEN)
    assert (caller.tenant, caller.scopes) == (ACME, frozenset({Scope.SEND}))


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN[:-1] + "_", TOKEN.replace("pr_00", "pr_ff")])
def test_any_other_token_is_nobodys(token: str) -> None:
    world = World(KEY)
    with pytest.raises(NotAuthenticated):
        world.callers().with_key(token)
    assert not world.uses


def test_a_key_whose_tenant_is_gone_is_nobodys() -> None:
    world = World(KEY)
    world.tenants.clear()
    with pytest.raises(NotAuthenticated):
        world.callers().with_key(TOKEN)


def test_the_store_is_asked_once_in_a_while() -> None:
    world = World(KEY)
    callers = world.callers()
    for _ in range(10):
        callers.with_key(TOKEN)
    assert world.looks == 1
    world.now += REMEMBERED
    callers.with_key(TOKEN)
    assert world.looks == 2


def test_a_revoked_key_is_refused_within_seconds() -> None:
    world = World(KEY)
    callers = world.callers()
    callers.with_key(TOKEN)
    world.keys[KEY_ID] = replace(KEY, revoked_at=NOW)
    world.now += REMEMBERED
    with pytest.raises(NotAuthenticated):
        callers.with_key(TOKEN)


def test_an_expired_key_is_refused_at_once() -> None:
    world = World(replace(KEY, expires_at=NOW + seconds(1)))
    callers = world.callers()
    callers.with_key(TOKEN)
    world.now += seconds(1)
    with pytest.raises(NotAuthenticated):
        callers.with_key(TOKEN)


def test_the_last_use_is_noted_to_the_minute() -> None:
    world = World(KEY)
    callers = world.callers()
    for _ in range(3):
        callers.with_key(TOKEN)
        world.now += MOMENT
    world.now = NOW + USE_NOTED_EVERY
    callers.with_key(TOKEN)
    assert world.uses == [NOW, NOW + USE_NOTED_EVERY]


def test_configured_tokens_are_the_default_tenants_and_for_everything() -> None:
    callers = World().callers("first", "second")
    for token in ("first", "second"):
        caller = callers.with_key(token)
        assert (caller.tenant, caller.scopes) == (THE_DEFAULT, frozenset(Scope))
    with pytest.raises(NotAuthenticated):
        callers.with_key("third")


def test_limits_of_the_default_tenant_hold_for_configured_tokens() -> None:
    world = World()
    world.tenants["default"] = Tenant(tenant_id="default", lanes=frozenset({Lane.BULK}))
    assert world.callers("first").with_key("first").tenant.lanes == {Lane.BULK}


def test_without_any_key_callers_are_anonymous() -> None:
    callers = World().callers()
    assert callers.are_anonymous()
    assert callers.without_key().tenant == THE_DEFAULT


def test_the_first_key_ends_that_within_seconds() -> None:
    world = World()
    callers = world.callers()
    assert callers.are_anonymous()
    world.keys[KEY_ID] = KEY
    world.now += REMEMBERED
    assert not callers.are_anonymous()


def test_that_it_ended_is_never_forgotten() -> None:
    world = World(KEY)
    callers = world.callers()
    assert not callers.are_anonymous()
    world.keys.clear()
    world.now += REMEMBERED
    assert not callers.are_anonymous()


def test_while_nobody_knows_whether_there_are_keys_nobody_calls() -> None:
    world = World(KEY)
    world.is_away = True
    with pytest.raises(StoreUnavailable):
        world.callers().are_anonymous()


def test_a_user_of_the_broker_publishes_for_its_tenant() -> None:
    world = World()
    publishers = Publishers(TenantsOf(world), clock=lambda: world.now)
    assert publishers.of(["acme-shop", "nobody"]) == {"acme-shop": ACME, "nobody": THE_DEFAULT}


def test_users_are_remembered_for_seconds() -> None:
    world = World()
    tenants = TenantsOf(world)
    publishers = Publishers(tenants, clock=lambda: world.now)
    publishers.of(["acme-shop"])
    publishers.of(["acme-shop"])
    assert tenants.looks == 1
    world.tenants.clear()
    world.now += REMEMBERED
    assert publishers.of(["acme-shop"]) == {"acme-shop": THE_DEFAULT}
