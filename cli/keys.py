"""``postroom keys``: create, list, revoke."""

import argparse
import secrets
from contextlib import suppress
from datetime import datetime

from cli.output import Output, Value
from cli.parts import Parts
from cli.tenants import find_tenant, words
from delivery.bootstrap import utc_now
from delivery.config import parse_duration
from delivery.domain.api_keys import ID_BYTES, SECRET_BYTES, ApiKey, hash_of, id_of, make_token
from delivery.domain.errors import AlreadyThere, InvalidRequest
from delivery.domain.tenants import Scope

COLUMNS = ("key", "tenant", "name", "scopes", "state", "created", "expires", "last_used")


def add_parser(
    rooms: "argparse._SubParsersAction[argparse.ArgumentParser]", *, options: argparse.ArgumentParser
) -> None:
    parser = rooms.add_parser("keys", help="API keys")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    create = verbs.add_parser("create", parents=[options], help="make a key; its token is shown once")
    create.set_defaults(command=_create)
    create.add_argument("tenant")
    create.add_argument("--scope", required=True, help=f"what it is for, of {','.join(Scope)}")
    create.add_argument("--name", required=True, help="what or who uses it")
    create.add_argument("--expires-in", help="such as 90d (never)")
    listing = verbs.add_parser("list", parents=[options], help="show a tenant's keys, without their secrets")
    listing.set_defaults(command=_list)
    listing.add_argument("tenant")
    revoke = verbs.add_parser("revoke", parents=[options], help="refuse a key from now on, within seconds")
    revoke.set_defaults(command=_revoke)
    revoke.add_argument("tenant")
    revoke.add_argument("key", help="its visible part, pr_…, or the whole token")


def _create(arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    tenant = find_tenant(arguments.tenant, parts.store)
    with suppress(AlreadyThere):  # the default tenant gets its document with its first key
        parts.store.tenants.create(tenant)
    key_id, token = make_token(secrets.token_bytes(ID_BYTES + SECRET_BYTES))
    now = utc_now()
    key = ApiKey(
        key_id=key_id,
        tenant_id=tenant.tenant_id,
        name=arguments.name,
        scopes=frozenset(_scope(word) for word in words(arguments.scope)),
        secret_hash=hash_of(token),
        created_at=now,
        expires_at=_expiry(arguments.expires_in, now=now),
    )
    if not key.scopes:
        raise InvalidRequest(f"a key needs a scope, of {', '.join(Scope)}")
    parts.store.api_keys.create(key)
    output.one({"token": token, **_row(key, now=now)})
    output.say("The token is not shown again.")


def _list(arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    tenant, now = find_tenant(arguments.tenant, parts.store), utc_now()
    output.table(COLUMNS, [_row(key, now=now) for key in parts.store.api_keys.of_tenant(tenant.tenant_id)])


def _revoke(arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    key_id, now = id_of(arguments.key) or arguments.key, utc_now()
    if not parts.store.api_keys.revoke(arguments.tenant, key_id, now=now):
        # Without what was given: it may hold a secret.
        raise InvalidRequest(f"{arguments.tenant} has no key of that id that is not revoked")
    key = parts.store.api_keys.get(key_id)
    assert key is not None
    output.one(_row(key, now=now))


def _scope(word: str) -> Scope:
    try:
        return Scope(word)
    except ValueError:
        raise InvalidRequest(f"{word} is no scope; there are {', '.join(Scope)}") from None


def _expiry(text: str | None, *, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        return now + parse_duration(text)
    except (ValueError, OverflowError):
        raise InvalidRequest("--expires-in must be a duration such as 12h or 90d") from None


def _row(key: ApiKey, *, now: datetime) -> dict[str, Value]:
    return {
        "key": key.key_id,
        "tenant": key.tenant_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "state": "revoked" if key.revoked_at else "active" if key.is_active(now) else "expired",
        "created": key.created_at,
        "expires": key.expires_at,
        "last_used": key.last_used_at,
    }
