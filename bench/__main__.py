"""``python -m bench``: measure a system of its own on free ports, print a table, write JSON."""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from bench import measure
from bench.comparison.contenders import postroom_system
from bench.figures import Rounds
from tests.harness.broker import BrokerServer, VirtualHost, running_broker
from tests.harness.line import Line
from tests.harness.store import StoreDatabase, StoreServer, running_store
from tests.harness.system import System

MONGODB_PORT = 27017
RESULTS = Path(__file__).parent / "results"
CONNECTIONS = (1, 16, 64)
SEVERAL = (1, 16)
"""Connections for keys and batches."""

ANSWERS_AFTER = 0.005
"""Seconds. This machine's disk says at once that it is done; one that is waited for, or a majority of a
replica set, takes milliseconds, and single inserts take as long each."""


def run(
    *, rounds: int, seconds: float, count: int, waiting: int, say: Callable[[str], None]
) -> tuple[str, Rounds]:
    """Measure everything, alternating within each round. Returns the store's name and the figures."""
    figures = Rounds()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postroom-bench-")))
        broker = stack.enter_context(running_broker(folder / "broker"))
        server = stack.enter_context(running_store(folder / "store"))
        near = _bench(stack, folder / "near", broker=broker, server=server)
        line = Line(urlsplit(server.uri).port or MONGODB_PORT, answers_after=ANSWERS_AFTER)
        stack.callback(line.close)
        distant = StoreServer(line.over(server.uri), server.part)
        far = _bench(stack, folder / "far", broker=broker, server=distant)
        say("memory of the broker")
        memory = measure.broker_memory(near.vhost, count=waiting)
        figures.add("broker memory per 100,000 waiting", "MiB", memory * 100_000 / waiting)
        for number in range(1, rounds + 1):
            turn = f"round {number} of {rounds}"
            for bench, store in ((near, "store"), (far, f"store {ANSWERS_AFTER * 1000:g} ms away")):
                say(f"{turn}: accepting, {store}")
                _measure_accepting(bench, figures, store=store, seconds=seconds)
                say(f"{turn}: with a key against without, {store}")
                _measure_keys(bench, figures, store=store, seconds=seconds, keyed_first=number % 2 == 0)
                say(f"{turn}: batches, {store}")
                _measure_batches(bench, figures, store=store, seconds=seconds)
                _empty(bench)
            say(f"{turn}: end to end, and drain")
            _measure_sending(near, figures, count=count)
        return measure.store_name(near.database.client), figures


@dataclass(frozen=True, slots=True)
class Bench:
    """A system with its broker and its store. Its consumers run only while they are measured."""

    system: System
    vhost: VirtualHost
    database: StoreDatabase


def _bench(stack: ExitStack, folder: Path, *, broker: BrokerServer, server: StoreServer) -> Bench:
    vhost = stack.enter_context(broker.vhost())
    database = stack.enter_context(server.database())
    system = postroom_system(folder, amqp_url=vhost.url, mongodb_uri=database.uri)
    stack.callback(system.close)
    system.start()
    _stop_consumers(system)
    return Bench(system, vhost, database)


def _measure_accepting(bench: Bench, figures: Rounds, *, store: str, seconds: float) -> None:
    figures.add(f"{store}: single inserts", "/s", measure.single_inserts(bench.database, seconds=seconds))
    for connections in CONNECTIONS:
        _accept(bench.system, figures, store=store, connections=connections, seconds=seconds)


def _measure_keys(bench: Bench, figures: Rounds, *, store: str, seconds: float, keyed_first: bool) -> None:
    """One right after the other, and the other first in the next round: what drifts falls on both alike."""
    for connections in SEVERAL:
        results = {
            is_keyed: measure.accepting(
                bench.system, connections=connections, seconds=seconds, is_keyed=is_keyed
            )
            for is_keyed in (keyed_first, not keyed_first)
        }
        name = f"{store}: /send with a key over {_connections(connections)}"
        _add(figures, name, results[True])
        figures.add(f"{name}, as a part of that without", "", results[True].rate / results[False].rate)


def _measure_batches(bench: Bench, figures: Rounds, *, store: str, seconds: float) -> None:
    for connections in SEVERAL:
        result = measure.accepting_batches(bench.system, connections=connections, seconds=seconds)
        _add(figures, f"{store}: batches of {measure.BATCH} over {_connections(connections)}", result)


def _empty(bench: Bench) -> None:
    """What was accepted here is not to be sent: that would take longer than all the rest."""
    for name in ("emails", "idempotency_keys"):
        bench.database[name].delete_many({})
    bench.vhost.amqp.purge("email.transactional")


def _measure_sending(bench: Bench, figures: Rounds, *, count: int) -> None:
    system = bench.system
    system.restart(system.simulator)
    system.start()
    measure.wait_until_idle(bench.database)
    rate = measure.end_to_end(system, count=count, connections=16)
    figures.add("end to end, /send to submitted", "/s", rate)
    measure.wait_until_idle(bench.database)
    figures.add("drain of waiting emails", "/s", measure.drain(system, bench.database, count=count))
    _stop_consumers(system)
    _empty(bench)


def _stop_consumers(system: System) -> None:
    for part in system.consumers:
        part.stop(within=30)


def _accept(system: System, figures: Rounds, *, store: str, connections: int, seconds: float) -> None:
    result = measure.accepting(system, connections=connections, seconds=seconds)
    _add(figures, f"{store}: /send over {_connections(connections)}", result)


def _add(figures: Rounds, name: str, result: measure.Accepting) -> None:
    figures.add(name, "/s", result.rate)
    figures.add(f"{name}, p50", "ms", result.p50)
    figures.add(f"{name}, p99", "ms", result.p99)
    if result.failures:
        figures.add(f"{name}, failures", "", result.failures)


def _connections(count: int) -> str:
    return f"{count} connection{'s' if count > 1 else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each accept measurement")
    parser.add_argument("--count", type=int, default=2000, help="emails end to end and to drain")
    parser.add_argument("--waiting", type=int, default=100_000, help="messages for the broker's memory")
    arguments = parser.parse_args()
    console = Console()
    store, rounds = run(
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        count=arguments.count,
        waiting=arguments.waiting,
        say=lambda text: console.print(f"[dim]{text}[/dim]"),
    )
    figures = rounds.figures()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    table = Table("what", "median", "unit", "range", title=f"{store} on {machine}, {arguments.rounds} rounds")
    for figure in figures:
        table.add_row(*figure.row())
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(
        json.dumps(
            {
                "store": store,
                "machine": machine,
                "figures": [{"name": f.name, "unit": f.unit, "rounds": f.rounds} for f in figures],
            },
            indent=2,
        )
    )
    console.print(f"written to {path}")


if __name__ == "__main__":
    main()
