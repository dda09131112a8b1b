"""Who may do what on the broker. https://www.rabbitmq.com/docs/access-control#authorisation has the rules."""

import re
from dataclasses import dataclass

from topology import names

OPERATOR_TAGS = ("management", "policymaker")
"""`management` opens the management UI; moving messages there creates a shovel, which needs `policymaker`."""

_NOTHING = "^$"
_ANYTHING = ".*"
_USER = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """The three regular expressions over entity names that RabbitMQ keeps per user and virtual host."""

    configure: str
    write: str
    read: str


POSTROOM = Permissions(configure=_ANYTHING, write=_ANYTHING, read=_ANYTHING)
"""Our own processes: they declare everything, and reply to services through the default exchange."""

OPERATOR = Permissions(configure=_NOTHING, write=_NOTHING, read=_ANYTHING)
"""People who look at messages and move them. A shovel runs as the broker itself, so moving needs no write."""


def service_permissions(user: str) -> Permissions:
    """What the service that logs in as `user` may do: publish to `email.ingest`, own its reply queues.

    Raises ValueError for a user name with other characters than letters, digits, `_` and `-`: with a dot,
    `shop` would own the reply queues of `shop.eu`.
    """
    if not _USER.fullmatch(user):
        raise ValueError(f"user name {user!r} may have letters, digits, '_' and '-' only")
    replies = f"^{re.escape(names.reply_queue_prefix(user))}.+$"
    return Permissions(configure=replies, write=f"^{re.escape(names.INGEST_EXCHANGE)}$", read=replies)
