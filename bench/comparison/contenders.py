"""Who is measured: postroom and its peers, each with an API, workers and a provider of its own."""

import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiormq

from bench.comparison import backlog, names
from bench.comparison.plain_provider import SECRET_VARIABLE
from bench.peers.settings import QUEUE
from delivery.domain.lanes import Lane
from stack.leftovers import end_leftovers
from stack.part import Part, log_tail
from stack.ports import LOOPBACK
from stack.services import CHECKOUT, Surroundings, Wiring, answers_ok
from tests.harness.broker import VirtualHost
from tests.harness.ports import free_ports
from tests.harness.provider import Provider
from tests.harness.store import StoreDatabase
from tests.harness.system import System, inherited_environment
from topology.names import lane_queue

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0

PROVIDER = "provider"
"""The group of processes that is no part of the contender."""

ProviderPart = Callable[..., Part]
"""Makes the provider's process as stack.services.simulator_part does; the bench's own is leaner."""

POSTROOM_CONFIG = "[loops]\nrelay_grace = '60s'\n"
"""While a filled-up process publishes, the relay must not publish the same again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Nothing runs until it is started. Everything ends with ``close``.

    delivered: the query for emails whose report was applied. queue: where bulk emails wait.
    """

    name: str
    api: Part
    workers: Sequence[Part]
    provider_process: Part
    api_url: str
    control_url: str
    provider: Provider
    vhost: VirtualHost
    database: StoreDatabase
    queue: str
    delivered: Mapping[str, object]
    put: Callable[[int], None]
    close: Callable[[], None]

    def start_api(self) -> None:
        _start([self.provider_process, self.api])

    def start_workers(self) -> None:
        _start(self.workers)

    def stop_workers(self) -> None:
        """In order: what they have in hand they finish."""
        for part in self.workers:
            part.terminate()
        for part in self.workers:
            part.stop(_STOP_SECONDS)

    def declare_queues(self) -> None:
        """The peers' queues are declared by whoever uses them first."""
        self.start_workers()
        self.stop_workers()

    def put_waiting(self, count: int) -> None:
        """Bulk emails, until ``count`` of them wait. The workers must be stopped."""
        missing = count - self.waiting()
        if missing > 0:
            self.put(missing)
            backlog.wait_for_depth(self.vhost, self.queue, count)

    def waiting(self) -> int:
        """How many bulk emails wait now."""
        return self.vhost.depth(self.queue)

    def applied(self) -> int:
        """How many emails the provider reported on, with the report applied."""
        return self.database["emails"].count_documents(self.delivered)

    def logs(self) -> str:
        """The end of each of its logs."""
        parts = [self.provider_process, self.api, *self.workers]
        return "\n".join(f"== {self.name}: {part.log}\n{log_tail(part.log)}" for part in parts)

    def pids(self) -> dict[str, list[int]]:
        """Its own processes, by what they do."""
        return {
            "API": [self.api.pid],
            "workers": [part.pid for part in self.workers if part.running()],
            PROVIDER: [self.provider_process.pid],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """How a peer is run. consumers: how many its workers have on the queue when they are ready."""

    app: Sequence[str]
    workers: Sequence[Sequence[str]]
    consumers: int


_CELERY = (
    *("celery", "-A", "bench.peers.celery_app", "worker", "--loglevel", "WARNING"),
    *("--without-gossip", "--without-mingle"),
)

PEERS = {
    names.CELERY_PREFORK: Peer(
        app=["bench.peers.celery_app:create_app()"],
        workers=[[*_CELERY, "--pool", "prefork", "--concurrency", "8"]],
        consumers=1,
    ),
    names.CELERY_THREADS: Peer(
        app=["bench.peers.celery_app:create_app()"],
        workers=[
            [*_CELERY, "--pool", "threads", "--concurrency", "16", "--hostname", f"{number}@%h"]
            for number in (1, 2)
        ],
        consumers=2,
    ),
    names.DRAMATIQ: Peer(
        app=["bench.peers.dramatiq_app:create_app()"],
        workers=[["dramatiq", "bench.peers.dramatiq_app", "--processes", "2", "--threads", "16"]],
        consumers=2,
    ),
    names.AIO_PIKA: Peer(
        app=["--worker-class", "aiohttp.GunicornUVLoopWebWorker", "bench.peers.aio_pika_app:create_app"],
        workers=[["bench.peers.aio_pika_app"]] * 2,
        consumers=2,
    ),
}


def plain_provider_part(
    around: Surroundings, *, port: int, control_port: int, webhook_url: str, secret: str
) -> Part:
    return around.part(
        "provider",
        "bench.comparison.plain_provider",
        *("--port", str(port), "--control-port", str(control_port), "--webhook-url", webhook_url),
        env={SECRET_VARIABLE: secret},
        ready_url=f"http://{LOOPBACK}:{control_port}/readyz",
    )


def contender(
    name: str, folder: Path, *, vhost: VirtualHost, database: StoreDatabase, provider_part: ProviderPart
) -> Contender:
    """One that has this virtual host and this database to itself."""
    make = _postroom if name == names.POSTROOM else partial(_peer, name)
    return make(folder, vhost=vhost, database=database, provider_part=provider_part)


def postroom_system(
    folder: Path,
    *,
    amqp_url: str,
    mongodb_uri: str,
    provider_part: ProviderPart = plain_provider_part,
) -> System:
    """With this provider in the simulator's place, and else as `make run` starts it."""
    system = System(
        folder, amqp_url=amqp_url, mongodb_uri=mongodb_uri, config=POSTROOM_CONFIG, api_workers=None
    )
    system.simulator = provider_part(
        system.around,
        port=urlsplit(system.provider.url).port,
        control_port=urlsplit(system.provider.control_url).port,
        webhook_url=system.wiring.webhook_url,
        secret=system.wiring.webhook_secrets,
    )
    return system


def _postroom(
    folder: Path, *, vhost: VirtualHost, database: StoreDatabase, provider_part: ProviderPart
) -> Contender:
    system = postroom_system(
        folder, amqp_url=vhost.url, mongodb_uri=database.uri, provider_part=provider_part
    )
    return Contender(
        name=names.POSTROOM,
        api=system.api_process,
        workers=system.consumers,
        provider_process=system.simulator,
        api_url=system.wiring.api_url,
        control_url=system.provider.control_url,
        provider=system.provider,
        vhost=vhost,
        database=database,
        queue=lane_queue(Lane.BULK.value),
        delivered={"state": "delivered"},
        put=partial(backlog.put_for_postroom, database, vhost),
        close=system.close,
    )


def _peer(
    name: str, folder: Path, *, vhost: VirtualHost, database: StoreDatabase, provider_part: ProviderPart
) -> Contender:
    peer = PEERS[name]
    folder.mkdir(parents=True, exist_ok=True)
    api_port, provider_port, control_port = free_ports(3)
    secret = secrets.token_hex(16)
    wiring = Wiring(
        amqp_url=vhost.url,
        mongodb_uri=database.uri,
        provider_url=f"http://{LOOPBACK}:{provider_port}",
        webhook_secrets=secret,
        recipient_hash_key="",
        api_port=api_port,
    )
    around = Surroundings(environ=inherited_environment(), logs=folder / "log", owner=str(folder))
    provider_process = provider_part(
        around, port=provider_port, control_port=control_port, webhook_url=wiring.webhook_url, secret=secret
    )
    api = around.part(
        "API",
        "gunicorn",
        *("-c", "bench/peers/gunicorn_conf.py", *peer.app),
        env=wiring.environment(),
        ready_url=f"{wiring.api_url}/readyz",
        is_ready=answers_ok,
    )
    workers = [
        _worker(f"workers {number}", argv, around=around, wiring=wiring, ready=partial(_consume, vhost, peer))
        for number, argv in enumerate(peer.workers, start=1)
    ]
    provider = Provider(wiring.provider_url, f"http://{LOOPBACK}:{control_port}")

    def close() -> None:
        for part in (provider_process, api, *workers):
            part.kill()
        provider.close()
        end_leftovers(around.owner)

    return Contender(
        name=name,
        api=api,
        workers=workers,
        provider_process=provider_process,
        api_url=wiring.api_url,
        control_url=provider.control_url,
        provider=provider,
        vhost=vhost,
        database=database,
        queue=QUEUE,
        delivered={"state": "delivered"},
        put=partial(backlog.put_for_peer, name, database, vhost),
        close=close,
    )


def _worker(
    name: str, argv: Sequence[str], *, around: Surroundings, wiring: Wiring, ready: Callable[[], bool]
) -> Part:
    return Part(
        name,
        [sys.executable, "-m", *argv],
        env={**around.environ, "PYTHONUNBUFFERED": "1", **wiring.environment()},
        cwd=CHECKOUT,
        log=around.logs / f"{name.replace(' ', '-')}.log",
        owner=around.owner,
        ready=ready,
    )


def _consume(vhost: VirtualHost, peer: Peer) -> bool:
    """Whether all its workers consume. At the first start there is no queue yet."""
    with suppress(aiormq.exceptions.AMQPError):
        return vhost.amqp.consumers(QUEUE) >= peer.consumers
    return False


def _start(parts: Sequence[Part]) -> None:
    idle = [part for part in parts if not part.running()]
    for part in idle:
        part.start()
    for part in idle:
        part.wait_ready(_READY_SECONDS)
