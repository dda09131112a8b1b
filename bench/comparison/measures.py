"""What is measured, in the order of the table."""

import re
from collections.abc import Iterable

from bench.comparison.results import Better, Measure

CONNECTIONS = (1, 16, 64, 256)

CALLS = "calls of a static answer"
"""Whatever is submitted is submitted by a call each."""

DRAINED = Measure("drain of waiting emails", "/s", Better.MORE, CALLS)
SUSTAINED = Measure("sustained: accepted, submitted, reported", "/s", Better.MORE, CALLS)
SUSTAINED_APART = Measure("sustained, the store on a core of its own", "/s", Better.MORE)
STORE_BUSY = Measure("sustained, the store on a core of its own: how busy that is", "%", Better.NEITHER)
STILL_WAITING = Measure("bulk left when the critical emails were through", "", Better.NEITHER)
WORKERS_MEMORY = Measure("memory of the workers while the backlog waits", "MiB", Better.LESS)
RESTARTED = Measure("broker killed: until the first email after it is ready again", "s", Better.LESS)
RECOVERED = Measure("broker killed: until 500 emails after it is ready again", "s", Better.LESS)

IDLE = "critical, idle"
UNDER_BACKLOG = "critical, under a bulk backlog"
UNDER_SLOW = "critical, provider takes 2 s"
SITUATIONS = (IDLE, UNDER_BACKLOG, UNDER_SLOW)


def accepts(connections: int) -> Measure:
    return Measure(f"/send over {connections}", "/s", Better.MORE, constant(connections))


def accept_latency(connections: int, share: str) -> Measure:
    """share: "p50" or "p99"."""
    return Measure(f"/send over {connections}, {share}", "ms", Better.LESS)


def accept_cpu(connections: int) -> Measure:
    """Of API, broker and store; nobody else has to do."""
    return Measure(f"/send over {connections}, CPU per 1,000", "s", Better.LESS)


def accept_failures(connections: int) -> Measure:
    return Measure(f"/send over {connections}, not accepted", "", Better.LESS)


def latency(situation: str, share: str) -> Measure:
    return Measure(f"{situation}, {share}", "ms", Better.LESS)


def cpu(group: str) -> Measure:
    """group: the API, the workers …, or "in all", which leaves out provider and load."""
    return Measure(f"CPU per 1,000 sustained, {group}", "s", Better.LESS)


def memory(group: str) -> Measure:
    return Measure(f"memory per 100,000 waiting, {group}", "MiB", Better.LESS)


def drained_of(size: int) -> Measure:
    return Measure(f"drain of {size:,} waiting", "/s", Better.MORE, CALLS)


def cpu_of(size: int) -> Measure:
    return Measure(f"CPU per 1,000 of {size:,} waiting", "s", Better.LESS)


def sizes_of(names: Iterable[str]) -> list[int]:
    """The sizes among the names of measures, the smallest first."""
    found = (re.fullmatch(r"CPU per 1,000 of ([\d,]+) waiting", name) for name in names)
    return sorted(int(match[1].replace(",", "")) for match in found if match)


def constant(connections: int) -> str:
    """The ceiling's name."""
    return f"Flask answers a constant over {connections}"
