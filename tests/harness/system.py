"""Simulator, API and consumers as real processes, joined for one test."""

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.leftovers import processes_of
from stack.part import Part, log_tail
from stack.ports import LOOPBACK
from stack.services import Surroundings, Wiring, api_part, consumers_part, simulator_part
from tests.harness.api import Api
from tests.harness.deadline import wait_until
from tests.harness.ports import free_ports
from tests.harness.provider import Provider

API_WORKERS = 2
"""Several on every machine, so that what is right of one is tested of several; the product's default follows
the cores.
"""

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0

# What the developer's shell says of API_KEYS, AMQP_URL … must not reach the processes under test.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "COVERAGE_PROCESS_START")


def inherited_environment() -> dict[str, str]:
    """What every process under test gets of our own environment."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


class System:
    """A running system. Its parts: `simulator`, `api_process`, `consumers` (a list); its clients: `api`,
    `provider`. `consumers_health` has the address of each consumer process's /readyz.

    `around` and `wiring` are what a further part needs, such as one of failpoints.py.

    Every part can be killed, stopped and started again on the same ports:
    `system.consumers[0].kill()`, `system.api_process.stop(within=20)`, `system.restart(system.simulator)`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        amqp_url: str,
        mongodb_uri: str,
        config: str = "",
        env: Mapping[str, str] | None = None,
        api_workers: int | None = API_WORKERS,
        consumers: int = 1,
        simulator_options: Sequence[str] = (),
        api_key: str | None = None,
        webhook_secrets: Sequence[str] | None = None,
    ) -> None:
        """config: the content of postroom.toml. env: more of the environment of API and consumers.
        api_workers: None leaves it to the product.

        webhook_secrets: what the API takes, the newest first; one of our own if None. The provider signs with
        the last, as it does in the middle of a rotation.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.owner = str(folder)
        api_port, provider_port, control_port = free_ports(3)
        known_secrets = [secrets.token_hex(16)] if webhook_secrets is None else webhook_secrets
        self.wiring = Wiring(
            amqp_url=amqp_url,
            mongodb_uri=mongodb_uri,
            provider_url=f"http://{LOOPBACK}:{provider_port}",
            webhook_secrets=",".join(known_secrets),
            recipient_hash_key=secrets.token_hex(16),
            api_port=api_port,
        )
        around = Surroundings(
            environ=self._environ(config, env or {}, api_key, api_workers),
            logs=folder / "log",
            owner=self.owner,
        )
        self.simulator = simulator_part(
            around,
            port=provider_port,
            control_port=control_port,
            webhook_url=self.wiring.webhook_url,
            secret=known_secrets[-1] if known_secrets else "",
            options=simulator_options,
        )
        self.api_process = api_part(around, wiring=self.wiring, degraded_is_ready=True)
        self.around = around
        self.consumers_health: list[str] = []
        self.consumers = [self._new_consumers(number) for number in range(1, consumers + 1)]
        self.api = Api(self.wiring.api_url, key=api_key)
        self.provider = Provider(self.wiring.provider_url, f"http://{LOOPBACK}:{control_port}")

    @property
    def parts(self) -> list[Part]:
        return [self.simulator, self.api_process, *self.consumers]

    def start(self, *, ready: bool = True) -> None:
        """Start what does not run. Returns when all is ready; with ready=False, at once."""
        idle = [part for part in self.parts if not part.running()]
        for part in idle:
            part.start()
        if ready:
            for part in idle:
                part.wait_ready(_READY_SECONDS)

    def restart(self, part: Part) -> None:
        """Stop in order if it runs, start again, wait until it is ready."""
        part.stop(_STOP_SECONDS)
        part.start()
        part.wait_ready(_READY_SECONDS)

    def logs(self) -> str:
        """The end of every part's log."""
        return "\n".join(f"== {part.log}\n{log_tail(part.log)}" for part in self.parts)

    def close(self) -> None:
        """Kill what still runs. Raises AssertionError if a process got away."""
        for part in self.parts:
            part.kill()
        self.api.close()
        self.provider.close()

        # The group of a part is killed with it, but a loaded machine takes a moment to bury all of it.
        def are_gone() -> bool:
            left = processes_of(self.owner)
            assert not left, f"left running: pids {left}"
            return True

        wait_until(are_gone, within=10, what="every process is gone")

    def _new_consumers(self, number: int) -> Part:
        (port,) = free_ports(1)
        self.consumers_health.append(f"http://{LOOPBACK}:{port}/readyz")
        return consumers_part(self.around, wiring=self.wiring, number=number, health_port=port)

    def _environ(
        self, config: str, env: Mapping[str, str], api_key: str | None, api_workers: int | None
    ) -> dict[str, str]:
        configuration = self.folder / "postroom.toml"
        configuration.write_text(config, encoding="utf-8")
        keys = {"API_KEYS": api_key} if api_key else {}
        workers = {"API_WORKERS": str(api_workers)} if api_workers else {}
        return {**inherited_environment(), "POSTROOM_CONFIG": str(configuration), **keys, **workers, **env}
