"""``postroom tenants``: create, change, list."""

import argparse
import re
from dataclasses import replace

from marshmallow import ValidationError

from cli.output import Output, Value
from cli.parts import Parts
from delivery.bootstrap import Store
from delivery.contract.fields import Address
from delivery.domain.emails import DEFAULT_TENANT
from delivery.domain.errors import InvalidRequest
from delivery.domain.lanes import Lane
from delivery.domain.rates import MOST_BURST, MOST_PER_SECOND, UNLIMITED, Rate
from delivery.domain.shares import MOST_SHARE
from delivery.domain.tenants import MOST_TENANTS, THE_DEFAULT, Tenant

COLUMNS = ("tenant", "lanes", "senders", "sender_default", "amqp_users", "rate", "burst", "share")

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def add_parser(
    rooms: "argparse._SubParsersAction[argparse.ArgumentParser]", *, options: argparse.ArgumentParser
) -> None:
    parser = rooms.add_parser("tenants", help="who sends: services and teams")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    create = verbs.add_parser("create", parents=[options], help="add a tenant")
    create.set_defaults(command=_create)
    change = verbs.add_parser(
        "change", aliases=["update"], parents=[options], help="change what is given, leave the rest"
    )
    change.set_defaults(command=_change)
    for verb in (create, change):
        verb.add_argument("tenant", help="its name: a-z, 0-9 and -")
        verb.add_argument("--lanes", help=f"those it may use, of {','.join(Lane)} (all)")
        verb.add_argument("--senders", help="addresses it may send from: *@acme.example, or * for all (all)")
        verb.add_argument("--sender-default", help="who sends what POST /webhook/email accepts (refused)")
        verb.add_argument("--amqp-users", help="users of the broker that publish for it (none)")
        verb.add_argument("--rate", help="requests a second; none, or default: as api.rate says (default)")
        verb.add_argument("--burst", help="requests at once after a rest (as many as --rate)")
        verb.add_argument("--share", help="its part of a lane's calls, beside other tenants' (1)")
    verbs.add_parser("list", parents=[options], help="show all").set_defaults(command=_list)


def _create(arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    if not _ID.fullmatch(arguments.tenant):
        raise InvalidRequest("a tenant's name has 1 to 63 of a-z, 0-9 and -, and does not begin with -")
    tenant = _changed(Tenant(tenant_id=arguments.tenant), arguments)
    _check_users(tenant, parts.store)
    if len(parts.store.tenants.shares()) >= MOST_TENANTS:
        raise InvalidRequest(f"there are {MOST_TENANTS} tenants already, and can be no more")
    parts.store.tenants.create(tenant)
    output.one(_row(tenant))


def _change(arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    tenant = _changed(find_tenant(arguments.tenant, parts.store), arguments)
    _check_users(tenant, parts.store)
    parts.store.tenants.put(tenant)
    output.one(_row(tenant))


def _list(_arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    output.table(COLUMNS, [_row(tenant) for tenant in parts.store.tenants.all()])


def find_tenant(tenant_id: str, store: Store) -> Tenant:
    """Raises InvalidRequest. The default tenant is there even if nobody has created it."""
    tenant = store.tenants.get(tenant_id)
    if tenant is not None:
        return tenant
    if tenant_id == DEFAULT_TENANT:
        return THE_DEFAULT
    raise InvalidRequest(f"there is no tenant {tenant_id}")


def _changed(tenant: Tenant, arguments: argparse.Namespace) -> Tenant:
    if arguments.lanes is not None:
        tenant = replace(tenant, lanes=_lanes(arguments.lanes))
    if arguments.senders is not None:
        tenant = replace(tenant, senders=_senders(arguments.senders))
    if arguments.sender_default is not None:
        tenant = replace(tenant, sender_default=_address(arguments.sender_default))
    if arguments.amqp_users is not None:
        tenant = replace(tenant, amqp_users=tuple(words(arguments.amqp_users)))
    if arguments.rate is not None or arguments.burst is not None:
        tenant = replace(tenant, rate=_rate(tenant.rate, rate=arguments.rate, burst=arguments.burst))
    if arguments.share is not None:
        tenant = replace(tenant, share=_number("--share", arguments.share, most=MOST_SHARE))
    return tenant


def _check_users(tenant: Tenant, store: Store) -> None:
    """A user of the broker publishes for one tenant."""
    for user, other in store.tenants.of_amqp_users(tenant.amqp_users).items():
        if other.tenant_id != tenant.tenant_id:
            raise InvalidRequest(f"the broker's user {user} publishes for {other.tenant_id} already")


def words(text: str) -> list[str]:
    """``"a, b"`` → ``["a", "b"]``"""
    return [word.strip() for word in text.split(",") if word.strip()]


def _senders(text: str) -> tuple[str, ...]:
    """No words would be no limit, which nobody means by a variable that is not set."""
    senders = words(text)
    if not senders or any("@" not in sender for sender in senders if sender != "*"):
        raise InvalidRequest("--senders are addresses, such as *@acme.example, or * for all")
    return () if "*" in senders else tuple(senders)


def _address(text: str) -> str | None:
    """No text takes the default away."""
    if not text:
        return None
    try:
        return Address().deserialize(text)
    except ValidationError as error:
        raise InvalidRequest(f"--sender-default {error.messages[0]}") from None


def _lanes(text: str) -> frozenset[Lane]:
    lanes = frozenset(_lane(word) for word in words(text))
    if not lanes:
        raise InvalidRequest(f"a tenant needs a lane, of {', '.join(Lane)}")
    return lanes


def _lane(word: str) -> Lane:
    try:
        return Lane(word)
    except ValueError:
        raise InvalidRequest(f"{word} is no lane; there are {', '.join(Lane)}") from None


def _rate(now: Rate | None, *, rate: str | None, burst: str | None) -> Rate | None:
    """A new rate's burst is as large as itself unless it is given; a burst alone changes nothing else."""
    if rate in ("none", "default") and burst is None:
        return UNLIMITED if rate == "none" else None
    per_second = _number("--rate", rate, most=MOST_PER_SECOND) if rate is not None else now and now.per_second
    if not per_second:
        raise InvalidRequest("--burst needs a --rate in requests a second")
    return Rate(per_second, _number("--burst", burst, most=MOST_BURST) if burst is not None else per_second)


def _number(option: str, text: str, *, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= number <= most:
        raise InvalidRequest(f"{option} is a whole number between 1 and {most}")
    return number


def _row(tenant: Tenant) -> dict[str, Value]:
    return {
        "tenant": tenant.tenant_id,
        "lanes": [lane.value for lane in Lane if lane in tenant.lanes],
        "senders": list(tenant.senders),
        "sender_default": tenant.sender_default,
        "amqp_users": list(tenant.amqp_users),
        "rate": "default" if tenant.rate is None else tenant.rate.per_second or "none",
        "burst": tenant.rate.burst or None if tenant.rate else None,
        "share": tenant.share,
    }
