"""What exists on the broker. This is the one place where it is written down.

The same definition holds for RabbitMQ 3.10 to 4.x. Three rules run through all of it:

- `x-queue-type` is always explicit: a virtual host whose default type is quorum refuses `x-max-priority` on
  a queue of the default type.
- Arguments that differ between versions are left out: `x-queue-mode` and `x-queue-version` make the
  declaration fail from 4.3 on.
- Structure stands in arguments, never in policies, so that a mistyped policy can't make it lose messages.

Between our own parts the broker is a hint and MongoDB the truth: a message is `{"id", "gen"}`. The exceptions
are what other services publish (ingest) and what was refused (rejected, unrouted): there the broker holds the
only copy.
"""

from collections.abc import Iterable
from dataclasses import replace

from topology import names
from topology.delay_steps import DELAY_STEPS, parse_step
from topology.model import Arguments, Binding, Exchange, ExchangeType, Queue, Topology

MAX_PRIORITY = 4
"""A caller's priority is 0 to 3; 4 is for retries, which go ahead of fresh mail. Higher ones must not be
used: RabbitMQ 4.0 to 4.2 keep 0-4 and 5+ apart in a quorum queue, and the expiry of one waits for the
other."""

# Messages that a person looks at are requeued each time. Quorum queues delete what was redelivered too often:
# after 20 times by default on 4.x; "-1" means without limit there, but deletes at once on 3.10. A huge limit
# means the same everywhere.
_KEEP: Arguments = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}

# A service's publish is the only copy until MongoDB has it, hence quorum (synced to disk before the confirm).
# A message that breaks its consumer 20 times is set aside. Without at-least-once a crash can lose it on the
# way; at-least-once needs reject-publish, and is silently off without it.
_INGEST: Arguments = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 20,
    "x-dead-letter-exchange": names.EMAIL_EXCHANGE,
    "x-dead-letter-routing-key": names.REJECTED_KEY,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def postroom_topology(*, delay_steps: Iterable[str] = DELAY_STEPS) -> Topology:
    """Everything postroom has on its virtual host.

    `delay_steps` are the steps of all retry schedules in use; order and repetitions don't matter.
    Raises ValueError for a step that is none.
    """
    steps = sorted(set(delay_steps), key=parse_step)
    return Topology(
        exchanges=(*_EXCHANGES, *(_delay_exchange(step) for step in steps)),
        queues=(*_LANE_QUEUES, *_OTHER_QUEUES, *(_delay_queue(step) for step in steps)),
        bindings=(
            *_BINDINGS,
            *(Binding(exchange=names.delay_exchange(step), queue=names.delay_queue(step)) for step in steps),
        ),
    )


def with_tenants(topology: Topology, *, keys: Iterable[str]) -> Topology:
    """The same with the queues of tenants, `bulk.acme` and so on; the keys of the lanes are left out.

    A tenant's queue is like that of its lane, so that its emails wait behind nobody else's backlog. Those of
    the default tenant wait in the queues of the lanes themselves.
    """
    tenants = sorted(set(keys).difference(names.LANES))
    return replace(
        topology,
        queues=(*topology.queues, *(lane_queue(key) for key in tenants)),
        bindings=(*topology.bindings, *(binding for key in tenants for binding in lane_bindings(key))),
    )


def lane_queue(key: str) -> Queue:
    """Where a lane's emails wait, or those of a tenant in it; `key` is such as `bulk` or `bulk.acme`."""
    lane, _, tenant = key.partition(".")
    whose = f" for the tenant {tenant}, beside that of all others" if tenant else ""
    return Queue(
        name=names.lane_queue(key),
        # Classic is the only type with strict priorities from 3.10 to 4.2. It may lose messages in a crash:
        # they are hints, and are published again from MongoDB.
        arguments={"x-queue-type": "classic", "x-max-priority": MAX_PRIORITY},
        why=f"The lane {lane}{whose}: emails to be sent. Classic, for strict priorities; 4 is for retries.",
    )


def lane_bindings(key: str) -> list[Binding]:
    """What is published with this key comes into its queue, at once or after a delay."""
    return [
        Binding(exchange=exchange, queue=names.lane_queue(key), routing_key=key)
        for exchange in (names.EMAIL_EXCHANGE, names.DUE_EXCHANGE)
    ]


_EXCHANGES = (
    Exchange(
        name=names.EMAIL_EXCHANGE,
        type=ExchangeType.DIRECT,
        # No alternate exchange: with one, a publish that lost its binding would look like success.
        why="Between our own parts. Every publish is mandatory: what has no queue is an error, not a loss.",
    ),
    Exchange(
        name=names.DUE_EXCHANGE,
        type=ExchangeType.DIRECT,
        # Apart from `email`, for its alternate exchange. At-least-once keeps what has no route for ever, 32
        # such messages keep everything behind them, and no purge removes them: letters that a person moves
        # into a delay, with its name as their key, would stop it for good.
        arguments={"alternate-exchange": names.UNROUTED_EXCHANGE},
        why="Where delays end, with the lane as key. What was moved into a delay has no lane: to unrouted.",
    ),
    Exchange(
        name=names.INGEST_EXCHANGE,
        type=ExchangeType.TOPIC,
        arguments={"alternate-exchange": names.UNROUTED_EXCHANGE},
        why="Where other services publish, with the key <lane>.<service>. No such lane: to unrouted.",
    ),
    Exchange(
        name=names.UNROUTED_EXCHANGE,
        type=ExchangeType.FANOUT,
        why="Catches what services publish, or a delay ends, with a key of no lane: nothing vanishes.",
    ),
    Exchange(
        name=names.EVENTS_EXCHANGE,
        type=ExchangeType.TOPIC,
        why="What happened, as <tenant>.<lane>.<event>, for whoever subscribes. Nobody does: dropped.",
    ),
)

_LANE_QUEUES = tuple(lane_queue(lane) for lane in names.LANES)

_OTHER_QUEUES = (
    Queue(
        name=names.DEAD_QUEUE,
        arguments=_KEEP,
        # No expiry and no length limit that drops the oldest: a dead letter waits for a person, however long.
        why="Emails out of attempts, until a person decides. Looking at a message never deletes it.",
    ),
    Queue(
        name=names.HELD_QUEUE,
        arguments=_KEEP,
        why="Emails that may have been sent. Apart from the dead: moving those resends none of these.",
    ),
    Queue(
        name=names.REQUEUE_QUEUE,
        arguments=_KEEP,
        # Not bound: "Move messages" in the management UI reaches it by its name.
        why="Dead or held letters moved here are sent again, with a fresh set of attempts.",
    ),
    Queue(
        name=names.INGEST_QUEUE,
        arguments=_INGEST,
        why="What services publish. The only copy until it is in MongoDB; poison goes to email.rejected.",
    ),
    Queue(
        name=names.INGEST_CRITICAL_QUEUE,
        arguments=_INGEST,
        # A queue of its own: quorum queues have no priorities before 4.0 and weak ones until 4.2.
        why="As email.ingest, for the lane critical: never behind a backlog of the others.",
    ),
    Queue(
        name=names.REJECTED_QUEUE,
        arguments=_KEEP,
        why="What services published and was refused, and why. The only copy; never move it into a lane.",
    ),
    Queue(
        name=names.UNROUTED_QUEUE,
        arguments=_KEEP,
        why="What was published or moved and has no lane. May be the only copy; never move it into a lane.",
    ),
    Queue(
        name=names.PROVIDER_EVENT_QUEUE,
        arguments=_KEEP,
        why="What providers reported, to be applied to the emails.",
    ),
)


def _delay_exchange(step: str) -> Exchange:
    # An exchange per step, because the routing key must stay the lane on the way through.
    return Exchange(
        name=names.delay_exchange(step),
        type=ExchangeType.FANOUT,
        why=f"Published here with a lane as key, a message is in that lane after {step}.",
    )


def _delay_queue(step: str) -> Queue:
    return Queue(
        name=names.delay_queue(step),
        # Quorum and at-least-once: dead-lettering out of a classic queue loses confirmed messages, all of
        # them if they expire while the broker restarts. One fixed TTL per queue: with a TTL per message a
        # short wait stands behind a long one. No x-dead-letter-routing-key: the message keeps the lane it
        # came with. No x-expires: a queue that deletes itself takes its messages along.
        arguments={
            "x-queue-type": "quorum",
            "x-message-ttl": int(parse_step(step).total_seconds() * 1000),
            "x-dead-letter-exchange": names.DUE_EXCHANGE,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
        why=f"Retries wait here for {step}. No consumer; if the schedule changes, this drains by itself.",
    )


_BINDINGS = (
    *(binding for lane in names.LANES for binding in lane_bindings(lane)),
    Binding(exchange=names.EMAIL_EXCHANGE, queue=names.DEAD_QUEUE, routing_key=names.DEAD_KEY),
    Binding(exchange=names.EMAIL_EXCHANGE, queue=names.HELD_QUEUE, routing_key=names.HELD_KEY),
    Binding(exchange=names.EMAIL_EXCHANGE, queue=names.REJECTED_QUEUE, routing_key=names.REJECTED_KEY),
    Binding(
        exchange=names.EMAIL_EXCHANGE, queue=names.PROVIDER_EVENT_QUEUE, routing_key=names.PROVIDER_EVENT_KEY
    ),
    Binding(exchange=names.INGEST_EXCHANGE, queue=names.INGEST_CRITICAL_QUEUE, routing_key="critical.#"),
    Binding(exchange=names.INGEST_EXCHANGE, queue=names.INGEST_QUEUE, routing_key="transactional.#"),
    Binding(exchange=names.INGEST_EXCHANGE, queue=names.INGEST_QUEUE, routing_key="standard.#"),
    Binding(exchange=names.INGEST_EXCHANGE, queue=names.INGEST_QUEUE, routing_key="bulk.#"),
    Binding(exchange=names.UNROUTED_EXCHANGE, queue=names.UNROUTED_QUEUE),
)
