"""What processes use: CPU time and memory, each with all its children."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain

import docker  # type: ignore[import-untyped]  # it ships no types
import psutil

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_CALM_SHARE = 0.05
"""Of one core."""
_CALM_LOOKS = 3

_DOCKERS_PROXY = "docker-proxy"
"""Listens on the port that a container publishes, and does nothing but hand on."""

Groups = Mapping[str, Iterable[int]]
"""The processes that are counted together: pids by the name of what they do, such as "broker"."""


def cpu_seconds(groups: Groups) -> dict[str, float]:
    """User and system time so far. Take the difference of two calls; no process may end between them."""
    return {name: sum(_cpu(process) for process in trees(pids)) for name, pids in groups.items()}


def memory_mib(groups: Groups) -> dict[str, float]:
    """MiB in use, with pages that processes share counted once (PSS)."""
    return {
        name: sum(process.memory_full_info().pss for process in trees(pids)) / 2**20
        for name, pids in groups.items()
    }


def wait_until_calm(pids: Iterable[int], *, within: float) -> bool:
    """Until they have used next to no CPU time for some seconds: what came before is over, also what a store
    or a broker does later of it. False, with a warning, if that did not come ``within`` so many seconds."""
    group = {"all": list(pids)}
    deadline = time.monotonic() + within
    used, calm = cpu_seconds(group)["all"], 0
    while calm < _CALM_LOOKS and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        before, used = used, cpu_seconds(group)["all"]
        calm = calm + 1 if used - before < _CALM_SHARE * _LOOK_SECONDS else 0
    if calm < _CALM_LOOKS:
        log.warning("they did not come to rest within %.0f s: what follows pays for it", within)
    return calm == _CALM_LOOKS


@contextmanager
def paused(pids: Iterable[int]) -> Iterator[None]:
    """They and their children stand still meanwhile."""
    processes = list(trees(pids))
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def pid_listening_on(port: int) -> int:
    """Of the container that publishes the port, it is the first process. Raises LookupError where none
    listens, or somebody else's, and DockerException where Docker does not say whose the port is."""
    for connection in psutil.net_connections(kind="tcp"):
        address = connection.laddr
        if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
            pid = int(connection.pid)
            return _pid_publishing(port) if psutil.Process(pid).name() == _DOCKERS_PROXY else pid
    raise LookupError(f"no process that we may look at listens on port {port}")


def _pid_publishing(port: int) -> int:
    with closing(docker.from_env()) as engine:
        for container in engine.containers.list(ignore_removed=True):
            published = chain.from_iterable(filter(None, container.ports.values()))
            if any(int(binding["HostPort"]) == port for binding in published):
                return int(container.attrs["State"]["Pid"])
    raise LookupError(f"no running container publishes port {port}")


def trees(pids: Iterable[int]) -> Iterator[psutil.Process]:
    """These processes and all their children."""
    for pid in pids:
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
