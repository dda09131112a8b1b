"""One contender's turn in a round: what is measured of it, and in which order."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from bench.comparison import measures, measuring, memory, names
from bench.comparison.contenders import PROVIDER, Contender
from bench.comparison.cores import STORE, can_set_apart, store_apart
from bench.comparison.measuring import Latencies, Work
from bench.comparison.processes import Groups, cpu_seconds, wait_until_calm
from bench.comparison.results import Results
from bench.comparison.surroundings import Servers

_SAME_API = {
    names.CELERY_PREFORK: (names.CELERY_THREADS,),
    names.CELERY_THREADS: (names.CELERY_PREFORK,),
}

_PER_MEMORY = 100_000
_WARM_UP_SECONDS = 0.3
_RECOVERED = 500
_LONGEST_UNTIL_CALM = 120.0
_SHORT_UNTIL_CALM = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Backlogs whose drain is measured, each for so many seconds at most.

    warm: emails after which no process is still finding its pace. least: of a size up to this, as many
    backlogs as make so many emails: a single one would be over too soon.
    """

    sizes: Sequence[int]
    seconds: float
    warm: int = 2000
    least: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long and how much. seconds: of each measurement of a rate. waiting: emails in the backlog.

    window: emails on their way in the sustained load. critical: emails whose latency is taken, idle and under
    the backlog; slow_critical: while the provider takes ``provider_seconds`` for each call. settled: seconds
    in which the broker's memory no longer changes.
    """

    seconds: float
    waiting: int
    window: int
    critical: int
    slow_critical: int
    provider_seconds: float
    settled: float


def accept(
    servers: Servers, name: str, results: Results, *, seconds: float, contenders: Sequence[str]
) -> None:
    """POST /send, with no workers beside it. Celery's pools differ in the workers only: once for both."""
    others = [other for other in _SAME_API.get(name, ()) if other in contenders]
    if others and contenders.index(others[0]) < contenders.index(name):
        return
    with servers.running(name) as contender:
        measuring.accepting(contender.api_url, connections=16, seconds=_WARM_UP_SECONDS)
        groups = _groups(servers, contender)
        for connections in measures.CONNECTIONS:
            before = cpu_seconds(groups)
            run = measuring.accepting(contender.api_url, connections=connections, seconds=seconds)
            used = _ours(cpu_seconds(groups)) - _ours(before)
            for same in (name, *others):
                results.add(measures.accepts(connections), same, run.rate)
                results.add(measures.accept_latency(connections, "p50"), same, run.latencies.p50_ms)
                results.add(measures.accept_latency(connections, "p99"), same, run.latencies.p99_ms)
                results.add(measures.accept_cpu(connections), same, used * 1000 / run.emails)
                results.add(measures.accept_failures(connections), same, run.failures)


def work(servers: Servers, name: str, results: Results, effort: Effort, *, with_memory: bool) -> None:
    """The sustained rate and idle latency with an empty queue; then everything that needs a backlog."""
    with servers.running(name) as contender:
        # What store and broker still do about those that were accepted before, this work does not cost.
        wait_until_calm(chain(*servers.pids().values()), within=_SHORT_UNTIL_CALM)
        contender.start_workers()
        _sustain(servers, contender, results, effort)  # before critical emails come: others rest beside these
        if can_set_apart():
            _sustain_apart(servers, contender, results, effort)
        latencies = measuring.critical_latency(contender, count=effort.critical, interval=0.04)
        _add_latencies(results, contender, measures.IDLE, latencies)
        contender.stop_workers()
        used = _fill(servers, contender, effort, with_memory=with_memory)
        with measuring.working_off(contender, ramp=1):
            drained = measuring.drain(contender, groups=_groups(servers, contender), seconds=effort.seconds)
            results.add(measures.DRAINED, name, drained.rate)
            if with_memory:
                results.add(measures.WORKERS_MEMORY, name, memory.of_workers(contender))
            _measure_latency_under_load(contender, results, effort)
        for group, mib in used.items():
            results.add(measures.memory(group), name, mib * _PER_MEMORY / effort.waiting)


def drain_sizes(servers: Servers, name: str, results: Results, sizes: Sizes) -> None:
    """What an email costs when so many wait."""
    for size in sizes.sizes:
        with servers.running(name) as contender:
            contender.declare_queues()
            run = _drain_size(servers, contender, size, sizes)
            results.add(measures.drained_of(size), name, run.rate)
            results.add(measures.cpu_of(size), name, _ours(run.cpu))


def _drain_size(servers: Servers, contender: Contender, size: int, sizes: Sizes) -> Work:
    """By workers that have warmed up on a part of it or, before small sizes, on others."""
    is_small = size <= sizes.least
    contender.put_waiting(sizes.warm if is_small else size)
    if not is_small:  # what a store writes of a million inserts in the next minutes, the drain does not cost
        wait_until_calm(chain(*servers.pids().values()), within=_LONGEST_UNTIL_CALM)
    with measuring.working_off(contender, ramp=sizes.warm):
        groups = _groups(servers, contender)
        if is_small:
            return measuring.drain_again_and_again(
                contender, count=size, times=sizes.least // size, groups=groups, seconds=sizes.seconds
            )
        return measuring.drain(contender, groups=groups, seconds=sizes.seconds)


def recover(servers: Servers, name: str, results: Results, *, waiting: int) -> None:
    """The broker is killed while so many wait, and started again. It must be ours to kill."""
    with servers.running(name) as contender:
        contender.declare_queues()
        contender.put_waiting(waiting)
        with measuring.working_off(contender, ramp=1):
            servers.broker.crash()
            servers.broker.start_again()
            restarted, recovered = measuring.recovery(contender, emails=_RECOVERED)
        results.add(measures.RESTARTED, name, restarted)
        results.add(measures.RECOVERED, name, recovered)


def _sustain(servers: Servers, contender: Contender, results: Results, effort: Effort) -> None:
    run = _sustained(contender, _groups(servers, contender), effort)
    results.add(measures.SUSTAINED, contender.name, run.rate)
    results.add(measures.cpu("in all"), contender.name, _ours(run.cpu))
    for group, seconds in run.cpu.items():
        results.add(measures.cpu(group), contender.name, seconds)


def _sustain_apart(servers: Servers, contender: Contender, results: Results, effort: Effort) -> None:
    """The same, where what an email costs the store slows down nobody."""
    groups = _groups(servers, contender)
    with store_apart(groups):
        run = _sustained(contender, groups, effort)
    results.add(measures.SUSTAINED_APART, contender.name, run.rate)
    results.add(measures.STORE_BUSY, contender.name, 100 * run.rate * run.cpu[STORE] / 1000)


def _sustained(contender: Contender, groups: Groups, effort: Effort) -> Work:
    return measuring.sustained(
        contender, groups=groups, connections=64, window=effort.window, seconds=effort.seconds
    )


def _fill(servers: Servers, contender: Contender, effort: Effort, *, with_memory: bool) -> dict[str, float]:
    """Returns the MiB that broker and store grew by, or nothing."""
    if not with_memory:
        contender.put_waiting(effort.waiting)
        return {}
    before = memory.of_broker_and_store(servers, settled=effort.settled)
    contender.put_waiting(effort.waiting)
    after = memory.of_broker_and_store(servers, settled=effort.settled)
    return {group: after[group] - before[group] for group in before}


def _measure_latency_under_load(contender: Contender, results: Results, effort: Effort) -> None:
    if contender.waiting() < effort.waiting // 2:
        contender.put(effort.waiting // 2)
    latencies = measuring.critical_latency(contender, count=effort.critical, interval=0.03)
    results.add(measures.STILL_WAITING, contender.name, contender.waiting())
    _add_latencies(results, contender, measures.UNDER_BACKLOG, latencies)
    contender.provider.set_faults(latency=effort.provider_seconds)
    if contender.waiting() < effort.waiting // 10:
        contender.put(effort.waiting // 10)
    time.sleep(effort.provider_seconds)  # what was out is over, and slow calls are in its place
    latencies = measuring.critical_latency(contender, count=effort.slow_critical, interval=0.25)
    _add_latencies(results, contender, measures.UNDER_SLOW, latencies)


def _add_latencies(results: Results, contender: Contender, situation: str, latencies: Latencies) -> None:
    results.add(measures.latency(situation, "p50"), contender.name, latencies.p50_ms)
    results.add(measures.latency(situation, "p99"), contender.name, latencies.p99_ms)


def _groups(servers: Servers, contender: Contender) -> Groups:
    return {**contender.pids(), **servers.pids()}


def _ours(cpu: Mapping[str, float]) -> float:
    """Of all processes but the provider, which is somebody else's, and the load."""
    return sum(seconds for group, seconds in cpu.items() if group not in (PROVIDER, measuring.LOAD))
