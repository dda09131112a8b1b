"""What publishes, and the topology that it needs."""

from collections.abc import Awaitable, Callable, Sequence

from delivery.bootstrap.names_and_time import process_name, utc_now
from delivery.bootstrap.store import Store
from delivery.broker.publisher import Publisher
from delivery.broker.strikes import Strikes
from delivery.config_values import Config
from delivery.use_cases.publish_owed import MessagePublisher, Owed, PublishOwed, Strike
from topology.definition import postroom_topology
from topology.model import Topology


def topology_of(config: Config) -> Topology:
    return postroom_topology(delay_steps=[step.name for step in config.delay_steps])


def build_publisher(config: Config, *, role: str) -> Publisher:
    """Its name on the broker says whose it is: ``role``, and the process."""
    return Publisher(config.amqp_url, name=f"postroom {role} {process_name()}", topology=topology_of(config))


def build_replies_publisher(config: Config) -> Publisher:
    """A connection for replies alone: the broker may close it over an address that a service made up."""
    nothing = Topology(exchanges=(), queues=(), bindings=())
    return Publisher(config.amqp_url, name=f"postroom replies {process_name()}", topology=nothing)


def publish_owed(
    config: Config, *, publisher: MessagePublisher, strike: Strike
) -> Callable[[Sequence[Owed]], Awaitable[int]]:
    return PublishOwed(publisher=publisher, strike=strike, steps=config.delay_steps, clock=utc_now)


def strikes_of(config: Config, store: Store) -> Strikes:
    """Call it on the event loop that it will run on."""
    return Strikes(store.emails, relay_grace=config.loops.relay_grace, clock=utc_now)
