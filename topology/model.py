"""The words a topology is written in: exchanges, queues, the bindings between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Arguments = Mapping[str, str | int]


class ExchangeType(StrEnum):
    DIRECT = "direct"
    FANOUT = "fanout"
    TOPIC = "topic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A durable exchange. `why` says, for a person, what it is there for."""

    name: str
    type: ExchangeType
    why: str
    arguments: Arguments = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A durable, shared queue. `why` says, for a person, what it is for and why it is as it is."""

    name: str
    why: str
    arguments: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What is published to `exchange` with a matching `routing_key` also lies in `queue`."""

    exchange: str
    queue: str
    routing_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Everything that shall exist on one virtual host, in the order in which it is declared."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    def queue(self, name: str) -> Queue:
        """The queue with this name, which must be there."""
        return next(queue for queue in self.queues if queue.name == name)
