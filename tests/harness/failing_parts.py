"""Starting a process with a failpoint in the place of a system's own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.part import Part, log_tail
from stack.ports import LOOPBACK
from tests.harness.deadline import wait_until
from tests.harness.failpoints import FIRED, Failpoint
from tests.harness.ports import free_ports
from tests.harness.system import System

_READY_SECONDS = 60.0


@contextmanager
def failing_consumers(system: System, failpoint: Failpoint, *, config: Path | None = None) -> Iterator[Part]:
    """Consumers with a failpoint; they may reach it before they are ready. config: a postroom.toml."""
    health_port = free_ports(1)[0]
    env = {"CONSUMERS_HEALTH_PORT": str(health_port)}
    if config is not None:
        env["POSTROOM_CONFIG"] = str(config)
    part = system.around.part(
        "failing consumers",
        "tests.harness.failing_consumers",
        env={**system.wiring.environment(), **failpoint.environment(), **env},
        ready_url=f"http://{LOOPBACK}:{health_port}/readyz",
    )
    with _running(part):
        yield part


@contextmanager
def failing_api(system: System, failpoint: Failpoint) -> Iterator[Part]:
    """The API with a failpoint, ready, on the system's port; the system's own must not run."""
    part = system.around.part(
        "failing API",
        "gunicorn",
        "-c",
        "api/gunicorn_conf.py",
        "tests.harness.failing_api:create_app()",
        env={**system.wiring.environment(), **failpoint.environment(), "API_WORKERS": "1"},
        ready_url=f"{system.wiring.api_url}/readyz",
    )
    with _running(part):
        part.wait_ready(_READY_SECONDS)
        yield part


def wait_until_killed_by(failpoint: Failpoint, part: Part, *, within: float = 60.0) -> None:
    """Wait for the process to kill itself; an AssertionError if it ended in any other way."""
    wait_until(lambda: not part.running(), within=within, what=f"{part.name} is {failpoint}")
    assert part.exit_status() == -signal.SIGKILL, part.log.read_text()
    assert has_fired(failpoint, part), part.log.read_text()


def has_fired(failpoint: Failpoint, part: Part) -> bool:
    return f"{FIRED}: {failpoint}" in part.log.read_text()


@contextmanager
def _running(part: Part) -> Iterator[None]:
    try:
        part.start()
        yield
    finally:
        part.kill()
        print(f"== {part.log}\n{log_tail(part.log)}")  # a failed test shows it
