"""What all contenders share: the broker and the store, and a fresh place in both for each."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from bench.comparison.contenders import Contender, ProviderPart, contender, plain_provider_part
from bench.comparison.processes import pid_listening_on
from stack.ports import LOOPBACK
from stack.services import Surroundings, simulator_part
from tests.harness.broker import BrokerServer
from tests.harness.ports import free_ports
from tests.harness.store import StoreServer
from tests.harness.system import inherited_environment

_MONGODB_PORT = 27017


class Servers:
    """Both on this machine, so that their CPU time and memory can be told. folder: for logs."""

    def __init__(
        self,
        broker: BrokerServer,
        store: StoreServer,
        folder: Path,
        *,
        provider_part: ProviderPart = plain_provider_part,
    ) -> None:
        self.broker = broker
        self.store = store
        self.folder = folder
        self._provider_part = provider_part
        self._numbers = count(1)

    def pids(self) -> dict[str, list[int]]:
        return {
            "broker": [pid_listening_on(self.broker.port)],
            "store": [pid_listening_on(urlsplit(self.store.uri).port or _MONGODB_PORT)],
        }

    @contextmanager
    def running(self, name: str) -> Iterator[Contender]:
        """A contender with a virtual host and a database of its own; its API runs, its workers don't.

        When something fails, the ends of its logs are shown.
        """
        with self.broker.vhost() as vhost, self.store.database() as database:
            folder = self.folder / str(next(self._numbers))
            started = contender(
                name, folder, vhost=vhost, database=database, provider_part=self._provider_part
            )
            try:
                started.start_api()
                yield started
            except Exception:
                print(started.logs(), file=sys.stderr)
                raise
            finally:
                started.close()

    @contextmanager
    def simulator(self) -> Iterator[str]:
        """The provider alone, which tells nobody; its URL."""
        port, control_port = free_ports(2)
        folder = self.folder / "simulator"
        around = Surroundings(environ=inherited_environment(), logs=folder, owner=str(folder))
        part = simulator_part(
            around,
            port=port,
            control_port=control_port,
            webhook_url=f"http://{LOOPBACK}/",
            secret="nobody checks it",
            options=["--faults", '{"rates": {"webhook-lost": 1.0}}'],
        )
        part.start()
        try:
            part.wait_ready(60)
            yield f"http://{LOOPBACK}:{port}"
        finally:
            part.kill()
