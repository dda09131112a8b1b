"""Memory of broker, store and workers while emails wait."""

import time
from typing import Any

from bench.comparison.contenders import Contender
from bench.comparison.processes import memory_mib
from bench.comparison.surroundings import Servers

_OF_MESSAGES = ("queue_procs", "queue_slave_procs", "quorum_queue_procs", "quorum_ets", "binary", "msg_index")
"""What of the broker's memory grows with its messages.
https://www.rabbitmq.com/docs/memory-use"""

_STEADY = 0.03
_MOST_LOOKS = 6


def of_broker_and_store(servers: Servers, *, settled: float) -> dict[str, float]:
    """MiB, once the broker has collected its garbage: it no longer changes within ``settled`` seconds."""
    return {"broker": _broker_mib(servers, settled), **memory_mib({"store": servers.pids()["store"]})}


def of_workers(contender: Contender) -> float:
    """MiB of all of them, now."""
    return memory_mib({"workers": contender.pids()["workers"]})["workers"]


def _broker_mib(servers: Servers, settled: float) -> float:
    """What it is after some looks, if it never settles."""
    last = _reading(servers)
    for _ in range(_MOST_LOOKS):
        time.sleep(settled)
        now = _reading(servers)
        if abs(now - last) <= _STEADY * now:
            return now
        last = now
    return last


def _reading(servers: Servers) -> float:
    management = servers.broker.management
    nodes: list[dict[str, Any]] = management.request("GET", "nodes")
    total = 0
    for node in nodes:
        memory = management.request("GET", "nodes", node["name"], "memory")["memory"]
        total += sum(memory.get(kind, 0) for kind in _OF_MESSAGES)
    return total / 2**20
