"""Free ports for the servers of a test."""

import os
import random
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice

from stack.ports import is_free

_PORTS = range(20_000, 32_000)
"""Below Linux's range for outgoing connections (from 32768), so that none of these takes one meanwhile."""

_MOST_WORKERS = 8


def free_ports(count: int) -> list[int]:
    """Different free ports, in an order of chance: two test runs at once hardly ever choose the same.

    Each worker of one run (pytest-xdist) chooses among its own, and none again before all others: what was
    chosen for a server that hasn't started yet looks free as well.
    """
    return list(islice(filter(is_free, islice(_order(), len(_PORTS))), count))


@cache
def _order() -> Iterator[int]:
    mine = _PORTS[_worker() % _MOST_WORKERS :: _MOST_WORKERS]
    return cycle(random.sample(mine, len(mine)))


def _worker() -> int:
    """0, or the number of this worker: https://pytest-xdist.readthedocs.io/en/stable/how-to.html"""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
