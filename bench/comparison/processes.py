"""What processes use: CPU time and memory, each with all its children."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import psutil

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_CALM_SHARE = 0.05
"""Of one core."""
_CALM_LOOKS = 3

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
    """Raises LookupError where none does, or somebody else's."""
    for connection in psutil.net_connections(kind="tcp"):
        address = connection.laddr
        if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
            return int(connection.pid)
    raise LookupError(f"no process that we may look at listens on port {port}")


def trees(pids: Iterable[int]) -> Iterator[psutil.Process]:
    """These processes and all their children."""
    for pid in pids:
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
