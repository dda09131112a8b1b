"""docker-compose.yml run for real, under a project name, secrets and ports of its own."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]  # it ships no types
from docker.errors import DockerException  # type: ignore[import-untyped]  # it ships no types

from stack.ports import LOOPBACK
from tests.harness.deadline import wait_until
from tests.harness.ports import free_ports

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / ".env.example"

# What the developer's shell says of API_KEYS, PROVIDER_URL … must not reach the project under test.
_INHERITED = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "RABBITMQ_IMAGE")

STOP_SECONDS = "25"
"""Enough for any of them to stop in order."""

Inspected = dict[str, Any]


def compose_command() -> list[str] | None:
    """`docker compose`, or `docker-compose` where the plugin isn't there; None without either."""
    plugin = ["docker", "compose"]
    if shutil.which("docker") and _succeeds([*plugin, "version"]):
        return plugin
    return ["docker-compose"] if shutil.which("docker-compose") else None


def why_not() -> str | None:
    """Why docker-compose.yml can't be run here; None if it can."""
    if compose_command() is None:
        return "neither `docker compose` nor `docker-compose` is installed"
    try:
        docker.from_env(timeout=5).ping()
    except DockerException as error:
        return f"no Docker engine answers: {error}"
    return None


def filled_in_example() -> dict[str, str]:
    """.env.example with a secret of its own behind every name that has none."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    names = [line[:-1] for line in lines if line.endswith("=") and not line.startswith("#")]
    return {name: secrets.token_hex(16) for name in names}


class ComposeProject:
    """`settings` is the content of .env. Every call raises CalledProcessError when the command fails."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str]) -> None:
        self.name = f"postroom-test-{secrets.token_hex(4)}"
        api_port, ui_port = free_ports(2)
        self.settings = {
            **settings,
            "API_PUBLISHED_PORT": str(api_port),
            "UI_PUBLISHED_PORT": str(ui_port),
        }
        self.api_url = f"http://{LOOPBACK}:{api_port}"
        self.ui_url = f"http://{LOOPBACK}:{ui_port}"
        self._env_file = folder / "env"
        self._env_file.write_text(
            "".join(f"{name}={value}\n" for name, value in self.settings.items()), encoding="utf-8"
        )

    def up(self) -> None:
        """Build and start; returns when every container is healthy, or has done its work and ended well."""
        self.run("up", "--detach", "--build")
        wait_until(self._all_healthy, within=180, what="every container is healthy")

    def stop(self, service: str) -> None:
        """Ask it to stop, and kill it if it doesn't."""
        self.run("stop", "--timeout", STOP_SECONDS, service)

    def start(self, service: str) -> None:
        """Start what was stopped; returns when it is healthy."""
        self.run("start", service)
        wait_until(
            lambda: all(_is_healthy(container) for container in self.containers(service)),
            within=120,
            what=f"{service} is healthy",
        )

    def down(self, *, volumes: bool) -> None:
        """Stop everything and take the containers away, and what they kept if `volumes`."""
        self.run("down", "--timeout", STOP_SECONDS, *(["--volumes"] if volumes else []))

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run the command line tool with these arguments; returns what it wrote to standard output."""
        return run_compose(
            ["--env-file", str(self._env_file), "--project-name", self.name, *arguments], stdin=stdin
        ).stdout

    def python(self, service: str, program: str, *, env: Mapping[str, str] | None = None) -> str:
        """Run a Python program in a running container of this service."""
        options = [word for name, value in (env or {}).items() for word in ("-e", f"{name}={value}")]
        return self.run("exec", "-T", *options, service, "python", "-", stdin=program)

    def get_json(self, url: str) -> Any:
        """GET from inside the project's network, where nothing needs to be published."""
        program = f"from urllib.request import urlopen; print(urlopen({url!r}).read().decode())"
        return json.loads(self.python("api", program))

    def containers(self, service: str | None = None) -> list[Inspected]:
        """The containers of the project or of one service, stopped ones included, as the engine has them."""
        labels = [f"com.docker.compose.project={self.name}"]
        if service is not None:
            labels.append(f"com.docker.compose.service={service}")
        found = docker.from_env().containers.list(all=True, filters={"label": labels})
        return [container.attrs for container in found]

    def logs(self) -> str:
        return self.run("logs", "--tail", "60")

    def _all_healthy(self) -> bool:
        sick = [service_of(container) for container in self.containers() if not _is_healthy(container)]
        assert not sick, f"not healthy: {sick}"
        return True


def run_compose(
    arguments: Sequence[str], *, stdin: str | None = None, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run the command line tool in the checkout, without what the shell says of our settings."""
    command = compose_command()
    assert command is not None
    done = subprocess.run(
        [*command, *arguments],
        cwd=CHECKOUT,
        env={name: os.environ[name] for name in _INHERITED if name in os.environ},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        print(done.stdout, done.stderr)
        done.check_returncode()
    return done


def service_of(container: Inspected) -> str:
    service: str = container["Config"]["Labels"]["com.docker.compose.service"]
    return service


def _is_healthy(container: Inspected) -> bool:
    """One without a health check does its work once: it has ended, and well."""
    state = container["State"]
    if "Health" in state:
        return bool(state["Health"]["Status"] == "healthy")
    return bool(state["Status"] == "exited" and state["ExitCode"] == 0)


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
