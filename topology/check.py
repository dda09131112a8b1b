"""Compare a topology with what is on the broker, changing nothing.

Existence and arguments are asked over AMQP, so that "the same" means exactly what it means to `declare`.
Bindings and leftovers can only be read from the management API; without its listing they are not compared.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from topology import names
from topology.declare import RPC_TIMEOUT, TopologyMismatch, declare_exchange, declare_queue
from topology.definition import with_tenants
from topology.management import Listing
from topology.model import Binding, Exchange, Queue, Topology

_OURS = re.compile(r"(email|delay)(\..+)?|unrouted|provider_event")


class DifferenceKind(StrEnum):
    MISSING = "missing"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it should be. `entity` is such as "queue email.bulk"."""

    kind: DifferenceKind
    entity: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome: what differs, and what is merely worth knowing."""

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


async def check(
    connection: AbstractConnection, topology: Topology, *, listing: Listing | None = None
) -> Report:
    """Compare `topology` with the connection's virtual host and, where given, with its `listing`.

    Tenants' queues are compared if the listing has them. Of an entity that differs in several arguments the
    broker names one. Raises TimeoutError if the broker doesn't answer, and aio_pika's errors for a lost
    connection or missing permissions.
    """
    if listing is not None:
        topology = with_tenants(topology, keys=_tenant_lanes(listing))
    compared = [
        *[await _compare_exchange(connection, exchange) for exchange in topology.exchanges],
        *[await _compare_queue(connection, queue) for queue in topology.queues],
        *(_missing_bindings(topology, listing) if listing else ()),
    ]
    notes = _leftovers(topology, listing) if listing else ["bindings and leftovers: not compared"]
    return Report(
        differences=tuple(difference for difference in compared if difference is not None),
        notes=tuple(notes),
    )


async def _compare_exchange(connection: AbstractConnection, exchange: Exchange) -> Difference | None:
    # A channel per entity: the broker closes it with every "not found" and every difference.
    entity = f"exchange {exchange.name}"
    try:
        async with connection.channel(publisher_confirms=False) as channel:
            await channel.declare_exchange(exchange.name, passive=True, timeout=RPC_TIMEOUT)
            await declare_exchange(channel, exchange)
    except ChannelNotFoundEntity:
        return Difference(kind=DifferenceKind.MISSING, entity=entity)
    except TopologyMismatch as mismatch:
        return Difference(kind=DifferenceKind.DIFFERENT, entity=entity, detail=mismatch.difference)
    return None


async def _compare_queue(connection: AbstractConnection, queue: Queue) -> Difference | None:
    entity = f"queue {queue.name}"
    try:
        async with connection.channel(publisher_confirms=False) as channel:
            await channel.declare_queue(queue.name, passive=True, timeout=RPC_TIMEOUT)
            await declare_queue(channel, queue)
    except ChannelNotFoundEntity:
        return Difference(kind=DifferenceKind.MISSING, entity=entity)
    except TopologyMismatch as mismatch:
        return Difference(kind=DifferenceKind.DIFFERENT, entity=entity, detail=mismatch.difference)
    return None


def _tenant_lanes(listing: Listing) -> list[str]:
    return [key for name in listing.queues if (key := names.tenant_lane_key(name)) is not None]


def _missing_bindings(topology: Topology, listing: Listing) -> list[Difference]:
    return [
        Difference(kind=DifferenceKind.MISSING, entity=_binding_text(binding))
        for binding in topology.bindings
        if binding not in listing.bindings
    ]


def _leftovers(topology: Topology, listing: Listing) -> list[str]:
    """What has a name like ours and isn't ours, such as the delay steps of an earlier schedule."""
    exchanges = {exchange.name for exchange in topology.exchanges}
    queues = {queue.name for queue in topology.queues}
    unknown_exchanges = [name for name in sorted(listing.exchanges - exchanges) if _OURS.fullmatch(name)]
    unknown_queues = [name for name in sorted(listing.queues.keys() - queues) if _OURS.fullmatch(name)]
    unknown_bindings = [
        binding
        for binding in sorted(listing.bindings - set(topology.bindings), key=_binding_text)
        if binding.exchange in exchanges and binding.queue in queues
    ]
    return [
        *(f"exchange {name}: not of this topology{_old_schedule(name)}" for name in unknown_exchanges),
        *(
            f"queue {name}: not of this topology{_old_schedule(name)}; messages in it: {listing.queues[name]}"
            for name in unknown_queues
        ),
        *(f"{_binding_text(binding)}: not of this topology" for binding in unknown_bindings),
    ]


def _old_schedule(name: str) -> str:
    return (
        " (a step of another schedule; delete it when empty)" if name.startswith(names.DELAY_PREFIX) else ""
    )


def _binding_text(binding: Binding) -> str:
    return f"binding {binding.exchange} -> {binding.queue} by {binding.routing_key!r}"
