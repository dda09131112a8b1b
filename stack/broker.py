"""A private RabbitMQ node: own name, folders, ports, cookie and epmd, on the loopback interface only.

https://www.rabbitmq.com/docs/configure#supported-environment-variables names the variables used here.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.management import Management
from stack.part import Part
from stack.ports import LOOPBACK, accepts

_DEBIAN_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_NODE = "postroom@localhost"
MAX_MESSAGE_BYTES = 13 * 1024 * 1024
"""A little above the largest api.max_body_bytes. The broker closes the channel of who publishes more."""

_PLUGINS = "rabbitmq_management,rabbitmq_shovel,rabbitmq_shovel_management,rabbitmq_prometheus"


class RabbitMQMissing(Exception):
    """RabbitMQ is not installed on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPorts:
    amqp: int
    management: int
    prometheus: int
    distribution: int
    epmd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """user and password: the administrator that the node creates at its first start, with `vhost`.

    disk_free_limit: below this much free disk the broker takes no publishes ("2GB", "100MB").
    statistics_interval: milliseconds between the figures of the management API.
    """

    ports: BrokerPorts
    user: str
    password: str
    cookie: str
    vhost: str
    disk_free_limit: str = "2GB"
    statistics_interval: int = 5000


class Broker:
    """The node and its epmd (the port mapper that every Erlang node needs), as one part of the stack.

    Both run as the user who starts them, as direct children: the pid is that of the Erlang VM. epmd has a
    port of its own and stays in the foreground, so none outlives us, and no other node's is disturbed.
    """

    name = "RabbitMQ"

    def __init__(
        self, settings: BrokerSettings, *, folder: Path, log: Path, owner: str, environ: Mapping[str, str]
    ) -> None:
        """Raises RabbitMQMissing."""
        self.settings = settings
        self.log = log
        self.management = Management(
            f"http://{LOOPBACK}:{settings.ports.management}", settings.user, settings.password
        )
        self.folder = folder
        env = {**environ, **_environment(settings, folder)}
        epmd_argv = ["epmd", "-port", str(settings.ports.epmd), "-address", LOOPBACK]
        self._epmd = Part(
            "epmd", epmd_argv, env=env, cwd=Path("/"), log=log, owner=owner, ready=self._epmd_listens
        )
        self._server = Part(
            self.name, [str(find_server())], env=env, cwd=Path("/"), log=log, owner=owner, ready=self._serves
        )

    @property
    def pid(self) -> int:
        return self._server.pid

    def start(self) -> None:
        """Start the node. A node that was stopped or killed comes back with its data."""
        _write_configuration(self.settings, self.folder)
        if not self._epmd.running():
            self._epmd.start()
            self._epmd.wait_ready(10)
        self._server.start()

    def running(self) -> bool:
        return self._server.running()

    def is_ready(self) -> bool:
        """Whether AMQP and the management API answer, now."""
        return self._server.is_ready()

    def wait_ready(self, within: float) -> None:
        """Return when AMQP and the management API answer. Raises PartFailed."""
        self._server.wait_ready(within)

    def check_running(self) -> None:
        """Raises PartFailed, with the reason, if the node or its epmd is not running."""
        self._server.check_running()
        self._epmd.check_running()

    def terminate(self) -> None:
        """Ask the node to shut down, without waiting: about 8 s, of which the management plugin takes 5."""
        self._server.terminate()

    def stop(self, within: float) -> int:
        """Shut down in order; SIGKILL after `within` seconds. Returns the node's exit status."""
        deadline = time.monotonic() + within
        status = self._server.stop(within)
        self._epmd.stop(max(deadline - time.monotonic(), 1.0))
        return status

    def kill(self) -> int:
        """SIGKILL to the node, as in a crash. epmd is left for the next start, or for stop()."""
        return self._server.kill()

    def _epmd_listens(self) -> bool:
        return accepts(self.settings.ports.epmd)

    def _serves(self) -> bool:
        return accepts(self.settings.ports.amqp) and self.management.answers()


def find_server() -> Path:
    """The server's own script. Debian's in /usr/sbin runs it as another user. Raises RabbitMQMissing."""
    if _DEBIAN_SERVER.exists():
        return _DEBIAN_SERVER
    found = shutil.which("rabbitmq-server")
    if found is None:
        raise RabbitMQMissing("rabbitmq-server is not installed")
    return Path(found)


def _environment(settings: BrokerSettings, folder: Path) -> dict[str, str]:
    return {
        "HOME": str(folder / "home"),
        "RABBITMQ_NODENAME": _NODE,
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_DIST_PORT": str(settings.ports.distribution),
        # An idle VM must not spin: the machine has other work.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} "
        "+sbwt none +sbwtdcpu none +sbwtdio none",
        # The script then becomes the Erlang VM instead of staying around it, so the pid is the VM's.
        "RUNNING_UNDER_SYSTEMD": "true",
        "ERL_EPMD_PORT": str(settings.ports.epmd),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        # No Erlang VM of ours may start an epmd as a daemon.
        "ERL_FLAGS": "-start_epmd false",
        "ERL_CRASH_DUMP_SECONDS": "0",
    }


def _write_configuration(settings: BrokerSettings, folder: Path) -> None:
    ports = settings.ports
    lines = [
        f"listeners.tcp.1 = {LOOPBACK}:{ports.amqp}",
        f"management.tcp.ip = {LOOPBACK}",
        f"management.tcp.port = {ports.management}",
        f"prometheus.tcp.ip = {LOOPBACK}",
        f"prometheus.tcp.port = {ports.prometheus}",
        f"default_vhost = {settings.vhost}",
        f"default_user = {settings.user}",
        f"default_pass = {settings.password}",
        "vm_memory_high_watermark.relative = 0.6",
        f"disk_free_limit.absolute = {settings.disk_free_limit}",
        "consumer_timeout = 1800000",
        f"max_message_size = {MAX_MESSAGE_BYTES}",
        # The default of 512 MiB is also memory.
        "raft.wal_max_size_bytes = 64000000",
        f"collect_statistics_interval = {settings.statistics_interval}",
    ]
    for inner in ("home", "mnesia", "log"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    _write_private(folder / "rabbitmq.conf", "\n".join(lines) + "\n")
    _write_private(folder / "home" / ".erlang.cookie", settings.cookie)
    _write_private(folder / "enabled_plugins", f"[{_PLUGINS}].\n")
    _write_private(folder / "advanced.config", "[].\n")
    _write_private(folder / "rabbitmq-env.conf", "")


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=True)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8")
