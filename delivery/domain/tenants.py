"""Tenants, what each may do, and who is calling."""

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from delivery.domain.emails import DEFAULT_TENANT, EmailRequest
from delivery.domain.errors import NotAllowed
from delivery.domain.lanes import Lane
from delivery.domain.rates import Rate


class Scope(StrEnum):
    """What a key is for; api/authentication.py says which route wants which."""

    SEND = "send"
    READ = "read"
    WEBHOOKS = "webhooks"


MOST_TENANTS = 400
"""Each has a queue in each of four lanes, and a consumer process a channel for each queue: RabbitMQ allows a
connection 2,047, and closes one that asks for more, with the consumers of all tenants on it.
https://www.rabbitmq.com/docs/channels#channel-max"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """An internal service or team.

    lanes: which it may use. senders: addresses it may send from, with ``*`` for any part of one; none: all.
    amqp_users: the broker users that publish for it; one that is nobody's publishes for the default tenant.
    rate: of its requests over HTTP; None: what the configuration says for all.
    sender_default: who sends where a request can't say so; none: such requests are refused.
    share: its part of a lane's calls, beside those of other tenants whose emails wait there, too.
    """

    tenant_id: str
    lanes: frozenset[Lane] = frozenset(Lane)
    senders: tuple[str, ...] = ()
    amqp_users: tuple[str, ...] = ()
    rate: Rate | None = None
    sender_default: str | None = None
    share: int = 1

    def check(self, request: EmailRequest) -> None:
        """Raises NotAllowed if it may not send this."""
        if request.lane not in self.lanes:
            raise NotAllowed(f"lane {request.lane} is not among this tenant's lanes")
        sender = request.content.sender
        if self.senders and not any(_is_like(sender, allowed) for allowed in self.senders):
            raise NotAllowed("sender is not among this tenant's addresses")


def _is_like(address: str, pattern: str) -> bool:
    """``*`` is the only special character: ``?`` and ``[`` are what they are."""
    return fnmatchcase(_small(address), re.sub(r"[?[]", r"[\g<0>]", _small(pattern)))


def _small(address: str) -> str:
    """In small letters, but for those that would become others: the Kelvin sign is no k in an address."""
    return "".join(char.lower() if char.isascii() or not char.lower().isascii() else char for char in address)


THE_DEFAULT = Tenant(tenant_id=DEFAULT_TENANT)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, and what for."""

    tenant: Tenant
    scopes: frozenset[Scope]

    def check(self, scope: Scope) -> None:
        """Raises NotAllowed."""
        if scope not in self.scopes:
            raise NotAllowed(f"this key lacks the scope {scope}")
