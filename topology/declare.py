"""Make the broker have what a topology says. Safe to repeat and to run from several processes at once."""

import re

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelPreconditionFailed

from topology.model import Exchange, Queue, Topology

RPC_TIMEOUT = 10.0
"""Seconds for one declaration. While the broker is out of memory or disk it answers none."""

_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for .*?: (?P<difference>received .+)", re.DOTALL
)

_TYPED_VALUE = re.compile(r"the value ('[^']*') of type '[^']*'")


class TopologyMismatch(Exception):
    """An entity is there, but with other properties. What to do about it is left to a person.

    `entity` is such as "queue email.bulk"; `difference` names the argument, what was asked for and what is
    there.
    """

    def __init__(self, entity: str, difference: str) -> None:
        super().__init__(f"{entity} exists, but differs: {difference}")
        self.entity = entity
        self.difference = difference


async def declare(connection: AbstractConnection, topology: Topology) -> None:
    """Declare all of it on a channel of its own.

    Raises TopologyMismatch for the first entity that exists with other arguments, TimeoutError if the broker
    doesn't answer, and aio_pika's errors for a lost connection or missing permissions.
    """
    async with connection.channel(publisher_confirms=False) as channel:
        for exchange in topology.exchanges:
            await declare_exchange(channel, exchange)
        for queue in topology.queues:
            await declare_queue(channel, queue)
        for binding in topology.bindings:
            queue_there = await channel.get_queue(binding.queue, ensure=False)
            await queue_there.bind(binding.exchange, binding.routing_key, timeout=RPC_TIMEOUT)


async def declare_exchange(channel: AbstractChannel, exchange: Exchange) -> None:
    """Declare one exchange. A TopologyMismatch closes the channel, as AMQP has it."""
    try:
        await channel.declare_exchange(
            exchange.name,
            exchange.type.value,
            durable=True,
            arguments=dict(exchange.arguments),
            timeout=RPC_TIMEOUT,
        )
    except ChannelPreconditionFailed as error:
        raise TopologyMismatch(f"exchange {exchange.name}", _difference(error)) from error


async def declare_queue(channel: AbstractChannel, queue: Queue) -> None:
    """Declare one queue. A TopologyMismatch closes the channel, as AMQP has it."""
    try:
        await channel.declare_queue(
            queue.name, durable=True, arguments=dict(queue.arguments), timeout=RPC_TIMEOUT
        )
    except ChannelPreconditionFailed as error:
        raise TopologyMismatch(f"queue {queue.name}", _difference(error)) from error


def _difference(error: ChannelPreconditionFailed) -> str:
    """What differs, from RabbitMQ's "… inequivalent arg 'x' for queue …: received … but current is …"."""
    match = _INEQUIVALENT.search(str(error))
    if match is None:
        return str(error)
    difference = _TYPED_VALUE.sub(r"\1", match["difference"])
    return f"{match['argument']}: {difference}"
