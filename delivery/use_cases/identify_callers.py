"""Find out who calls: by API key, or by the broker's user. What the store says is remembered for seconds."""

import hmac
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

from delivery.domain.api_keys import ApiKey, id_of
from delivery.domain.emails import DEFAULT_TENANT
from delivery.domain.errors import NotAuthenticated
from delivery.domain.tenants import THE_DEFAULT, Caller, Scope, Tenant

REMEMBERED = timedelta(seconds=5)
"""How long a revoked key may still be taken."""

USE_NOTED_EVERY = timedelta(minutes=1)
MOST_REMEMBERED = 10_000

_REFUSED = "missing or wrong API key; send it as 'Authorization: Bearer <key>'"
_ALL = frozenset(Scope)


class Keys(Protocol):
    def get(self, key_id: str) -> ApiKey | None: ...

    def exist(self) -> bool: ...

    def note_use(self, key_id: str, *, now: datetime) -> None: ...


class Tenants(Protocol):
    def get(self, tenant_id: str) -> Tenant | None: ...


@dataclass(frozen=True, slots=True)
class _Known:
    """A key and its tenant as the store had them; no key, if there is none of that id."""

    key: ApiKey | None
    tenant: Tenant
    until: datetime


class AmqpTenants(Tenants, Protocol):
    def of_amqp_users(self, users: Iterable[str]) -> dict[str, Tenant]: ...


class Publishers:
    """Which tenant a user of the broker publishes for. For one thread at a time."""

    def __init__(self, tenants: AmqpTenants, *, clock: Callable[[], datetime]) -> None:
        self._tenants = tenants
        self._clock = clock
        self._known: dict[str, Tenant] = {}
        self._until: datetime | None = None

    def of(self, users: Collection[str]) -> dict[str, Tenant]:
        """A user that is nobody's publishes for the default tenant. Raises StoreUnavailable."""
        now = self._clock()
        if self._until is None or now >= self._until:
            self._known, self._until = {}, now + REMEMBERED
        unknown = sorted(set(users) - self._known.keys())
        if unknown:
            found = self._tenants.of_amqp_users([*unknown])
            default = self._tenants.get(DEFAULT_TENANT) or THE_DEFAULT
            self._known.update({user: found.get(user, default) for user in unknown})
        return {user: self._known[user] for user in users}


class Callers:
    """Safe to use from many threads. Every method raises StoreUnavailable when it can't tell.

    configured: tokens of the environment, for the default tenant with every scope: the first keys of a
    deployment, with which others are made.
    """

    def __init__(
        self, *, keys: Keys, tenants: Tenants, configured: tuple[str, ...], clock: Callable[[], datetime]
    ) -> None:
        self._keys = keys
        self._tenants = tenants
        self._configured = tuple(token.encode() for token in configured)
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._keys_exist = bool(configured)
        self._looked_until: datetime | None = None
        self._lock = Lock()

    def are_anonymous(self) -> bool:
        """Whether there is no key at all, so that this machine may call without one."""
        now = self._clock()
        if not self._keys_exist and (self._looked_until is None or now >= self._looked_until):
            self._keys_exist = self._keys.exist()
            self._looked_until = now + REMEMBERED
        return not self._keys_exist

    def without_key(self) -> Caller:
        return Caller(self._find(DEFAULT_TENANT, self._default).tenant, _ALL)

    def with_key(self, token: str) -> Caller:
        """Raises NotAuthenticated."""
        if self._is_configured(token):
            return self.without_key()
        key_id = id_of(token)
        if key_id is None:
            raise NotAuthenticated(_REFUSED)
        known = self._find(key_id, self._look_up)
        if known.key is None or not known.key.opens_with(token, self._clock()):
            raise NotAuthenticated(_REFUSED)
        self._note_use(known, known.key)
        return Caller(known.tenant, known.key.scopes)

    def at_hand(self, token: str) -> Caller | None:
        """The caller, where memory tells: without a look into the store, and without waiting.

        None: not so, and with_key() or without_key() has the word. token: empty where none was given.
        """
        now = self._clock()
        if not token and not self._is_known_to_be_open(now):
            return None
        if not token or self._is_configured(token):
            known = self._remembered(DEFAULT_TENANT, now)
            return None if known is None else Caller(known.tenant, _ALL)
        known = self._remembered(id_of(token) or "", now)
        if known is None or known.key is None or not known.key.opens_with(token, now):
            return None
        return None if _is_use_due(known.key, now) else Caller(known.tenant, known.key.scopes)

    def _is_known_to_be_open(self, now: datetime) -> bool:
        return not self._keys_exist and self._looked_until is not None and now < self._looked_until

    def _remembered(self, name: str, now: datetime) -> _Known | None:
        known = self._known.get(name)
        return known if known is not None and now < known.until else None

    def _note_use(self, known: _Known, key: ApiKey) -> None:
        now = self._clock()
        if _is_use_due(key, now):
            self._keys.note_use(key.key_id, now=now)
            self._remember(key.key_id, replace(known, key=replace(key, last_used_at=now)))

    def _remember(self, name: str, known: _Known) -> None:
        with self._lock:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[name] = known

    def _is_configured(self, token: str) -> bool:
        given = token.encode("utf-8", "replace")
        valid = False
        for configured in self._configured:  # each one, so that the time tells nothing
            valid |= hmac.compare_digest(configured, given)
        return valid

    def _find(self, name: str, look_up: Callable[[str, datetime], _Known]) -> _Known:
        now = self._clock()
        known = self._remembered(name, now)
        if known is None:
            known = look_up(name, now)
            self._remember(name, known)
        return known

    def _look_up(self, key_id: str, now: datetime) -> _Known:
        key = self._keys.get(key_id)
        tenant = self._tenants.get(key.tenant_id) if key else None
        return _Known(key if tenant else None, tenant or THE_DEFAULT, now + REMEMBERED)

    def _default(self, tenant_id: str, now: datetime) -> _Known:
        return _Known(None, self._tenants.get(tenant_id) or THE_DEFAULT, now + REMEMBERED)


def _is_use_due(key: ApiKey, now: datetime) -> bool:
    return key.last_used_at is None or now - key.last_used_at >= USE_NOTED_EVERY
