"""The names on the broker. Whoever publishes or consumes takes them from here."""

import re

LANES = ("critical", "transactional", "standard", "bulk")
"""The lanes, most urgent first. A lane's name is its routing key on the exchanges `email` and `email.due`;
that of a tenant's queue in it is `<lane>.<tenant>`."""

# Exchanges
EMAIL_EXCHANGE = "email"
DUE_EXCHANGE = "email.due"
INGEST_EXCHANGE = "email.ingest"
EVENTS_EXCHANGE = "email.events"
UNROUTED_EXCHANGE = "unrouted"

# Queues; those of the lanes and of the delays come from the functions below
DEAD_QUEUE = "email.dead"
HELD_QUEUE = "email.held"
REQUEUE_QUEUE = "email.requeue"
INGEST_QUEUE = "email.ingest"
INGEST_CRITICAL_QUEUE = "email.ingest.critical"
REJECTED_QUEUE = "email.rejected"
UNROUTED_QUEUE = "unrouted"
PROVIDER_EVENT_QUEUE = "provider_event"

# Routing keys on the exchange `email`, beside the lanes
DEAD_KEY = "dead"
HELD_KEY = "held"
REJECTED_KEY = "rejected"
PROVIDER_EVENT_KEY = "provider_event"

IDEMPOTENCY_KEY_HEADER = "idempotency-key"

DELAY_PREFIX = "delay."

_TENANT_LANE_QUEUE = re.compile(rf"email\.(?P<key>({'|'.join(LANES)})\.[a-z0-9][a-z0-9-]*)")


def lane_queue(key: str) -> str:
    """The queue with this key: `email.bulk` for `bulk`, the tenant acme's for `bulk.acme`."""
    return f"{EMAIL_EXCHANGE}.{key}"


def tenant_lane_key(queue: str) -> str | None:
    """The key of the tenant's queue with this name; None if it is none."""
    match = _TENANT_LANE_QUEUE.fullmatch(queue)
    return match["key"] if match else None


def delay_exchange(step: str) -> str:
    """Where to publish, with the lane as routing key, what shall come back to its lane after `step`."""
    return f"{DELAY_PREFIX}{step}"


def delay_queue(step: str) -> str:
    """The queue in which a message waits for `step`."""
    return f"{DELAY_PREFIX}{step}"


def reply_queue_prefix(user: str) -> str:
    """How the names of the queues begin in which the service that logs in as `user` awaits replies."""
    return f"reply.{user}."
