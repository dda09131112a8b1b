"""The passes of the matrix: what is done to the system while the emails come in."""

from collections.abc import Callable
from dataclasses import dataclass

from delivery.domain.states import State
from tests.chaos.times import MINUTE, Times
from tests.harness.broker import BrokerServer, VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.load import Load
from tests.harness.store import StoreDatabase, StoreServer
from tests.harness.system import System


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A running system of two consumer processes, with a broker and a store of its own."""

    system: System
    broker: BrokerServer
    vhost: VirtualHost
    store: StoreServer
    database: StoreDatabase
    times: Times


Trouble = Callable[[Scene, Load], None]
"""Done in the middle of a share of the emails; returns when what it broke is whole again."""


def kill_consumer(scene: Scene, _: Load) -> None:
    victim = scene.system.consumers[0]
    wait_until(lambda: scene.system.provider.count("in_flight"), within=120, what="calls are out")
    victim.kill()
    victim.start()
    victim.wait_ready(120)


def kill_broker(scene: Scene, load: Load) -> None:
    scene.broker.crash()
    load.finish()  # accepting needs no broker
    scene.broker.start_again()


def kill_store(scene: Scene, load: Load) -> None:
    """While callers are answered that it is away; a few emails may all have been accepted just before."""
    scene.store.crash()
    wait_until(
        lambda: load.other.total() or load.is_over(),
        within=120,
        what="a caller hears that the store is away, or none calls any more",
    )
    scene.store.start_again()


def wipe_broker(scene: Scene, load: Load) -> None:
    scene.broker.crash()
    scene.broker.wipe()
    load.finish()
    scene.broker.start_again()
    scene.vhost.create()


def ban_from_status(scene: Scene, _: Load) -> None:
    scene.system.provider.set_faults(status_budget=0, status_ban=24 * 60 * MINUTE)


def take_provider_down(scene: Scene, load: Load) -> None:
    """For five minutes of the real times."""
    scene.system.provider.go_down(mode="refuse", seconds=scene.times.seconds(5 * MINUTE))
    load.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """can_ask: whether the provider's status endpoint answers. may_end: ends besides those of the faults.
    revives: a person moves the dead letters when all is over, and waits for what becomes of them."""

    name: str
    troubles: tuple[Trouble, ...] = ()
    can_ask: bool = True
    may_end: frozenset[State] = frozenset()
    revives: bool = False


NO_KILL = Pass(name="no kill")
KILL_ALL = Pass(name="kill -9 all three in turn", troubles=(kill_consumer, kill_broker, kill_store))

KILLS = (
    NO_KILL,
    Pass(name="kill -9 a consumer", troubles=(kill_consumer, kill_consumer)),
    Pass(name="kill -9 the broker", troubles=(kill_broker,)),
    Pass(name="kill -9 the store", troubles=(kill_store,)),
    KILL_ALL,
)

APART = (
    Pass(
        name="status endpoint banned",
        troubles=(ban_from_status,),
        can_ask=False,
        may_end=frozenset({State.SUBMITTED}),
    ),
    Pass(name="provider down", troubles=(take_provider_down,), revives=True),
    Pass(name="broker wiped", troubles=(wipe_broker,)),
)
