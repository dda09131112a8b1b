"""``python -m bench.comparison``: measure all contenders in turn, print a table, write JSON, draw plots."""

import argparse
import json
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.comparison import ceilings, names, plots, publish, report, sessions
from bench.comparison.results import Results
from bench.comparison.run import Run
from bench.comparison.sessions import Effort, Sizes
from bench.comparison.surroundings import Servers
from bench.measure import store_name
from tests.harness.broker import private_broker, running_broker
from tests.harness.store import running_store

RESULTS = Path(__file__).parent.parent / "results"
WIDTH = 200

Say = Callable[[str], None]


def measure_rounds(
    servers: Servers,
    results: Results,
    *,
    contenders: Sequence[str],
    rounds: int,
    seconds: float,
    accept_seconds: float,
    effort: Effort,
    say: Say,
) -> None:
    """Everybody's turns, and the ceilings, in each round; another begins each.

    No round is begun that would not be over within ``seconds``, if it takes as long as the longest before it.
    """
    began = before = time.monotonic()
    longest = 0.0
    for number in range(rounds):
        now = time.monotonic()
        longest, before = max(longest, now - before), now
        if now - began + longest > seconds:
            say(f"no round {number + 1}: it would take too long (--minutes)")
            return
        turn = f"round {number + 1} of {rounds}"
        say(f"{turn}: ceilings")
        measure_ceilings(servers, results, seconds=accept_seconds)
        for name in _rotated(contenders, number):
            say(f"{turn}: {name}")
            sessions.accept(servers, name, results, seconds=accept_seconds, contenders=contenders)
            sessions.work(servers, name, results, effort, with_memory=number == 0)


def measure_ceilings(servers: Servers, results: Results, *, seconds: float) -> None:
    with servers.broker.vhost() as vhost:
        ceilings.measure_broker(results, vhost, seconds=seconds)
    with servers.store.database() as database:
        ceilings.measure_store(results, database, seconds=seconds)
    with servers.simulator() as url:
        ceilings.measure_calls(results, simulator_url=url, folder=servers.folder, seconds=seconds)
    ceilings.measure_flask(results, folder=servers.folder, seconds=seconds)


def _rotated(contenders: Sequence[str], by: int) -> list[str]:
    by %= len(contenders)
    return [*contenders[by:], *contenders[:by]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.comparison")
    parser.add_argument("--rounds", type=int, default=3, help="of the default measurements; 0: none")
    parser.add_argument("--minutes", type=float, default=9.5, help="no further round that would end later")
    parser.add_argument("--accept-seconds", type=float, default=0.8, help="of each rate of /send")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each other rate")
    parser.add_argument("--waiting", type=int, default=20_000, help="bulk emails in the backlog")
    parser.add_argument("--window", type=int, default=500, help="emails on their way in the sustained load")
    parser.add_argument("--contenders", type=_names, default=names.ALL, help=f"some of {','.join(names.ALL)}")
    parser.add_argument(
        "--sizes", type=_sizes, default=[], help="backlogs whose drain is measured: 1000,10000,100000,1000000"
    )
    parser.add_argument("--size-seconds", type=float, default=20.0, help="of the drain of each of --sizes")
    parser.add_argument(
        "--recovery", type=int, default=0, metavar="WAITING", help="kill the broker while so many wait"
    )
    parser.add_argument(
        "--long-contenders",
        type=_names,
        default=[names.POSTROOM, names.DRAMATIQ],
        help="who is measured with --sizes and --recovery",
    )
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw the plots there")
    parser.add_argument("--publish", action="store_true", help="put the figures and the plots into README.md")
    return parser


def main() -> None:
    options = _parser().parse_args()
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # it tells of every connection that a kill cuts
    console = Console(width=WIDTH)
    results = Results()
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:4.0f} s  {text}[/dim]")

    store = _measure(options, results, say)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    console.print(report.table(results, title=f"{store} on {machine}, {results.rounds} rounds"))
    settings = {name: str(value) for name, value in vars(options).items()}
    written = report.as_json(results, about={"store": store, "machine": machine, "options": settings})
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"comparison-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(written, indent=2))
    console.print(f"written to {path}")
    if options.plots:
        for plot in plots.draw(Run.of(written), options.plots):
            console.print(f"drawn: {plot}")
    if options.publish:
        for changed in publish.publish([path]):
            console.print(f"published: {changed}")


def _measure(options: argparse.Namespace, results: Results, say: Say) -> str:
    """Everything that was asked for. Returns the store's name."""
    effort = Effort(
        seconds=options.seconds,
        waiting=options.waiting,
        window=options.window,
        critical=100,
        slow_critical=8,
        provider_seconds=2.0,
        settled=1.0,
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postroom-bench-")))
        broker = stack.enter_context(running_broker(folder / "broker"))
        store = stack.enter_context(running_store(folder / "store"))
        servers = Servers(broker, store, folder)
        measure_rounds(
            servers,
            results,
            contenders=options.contenders,
            rounds=options.rounds,
            seconds=options.minutes * 60,
            accept_seconds=options.accept_seconds,
            effort=effort,
            say=say,
        )
        if options.sizes:
            sizes = Sizes(sizes=options.sizes, seconds=options.size_seconds)
            for name in _long_contenders(options):
                say(f"draining backlogs of {', '.join(map(str, options.sizes))}: {name}")
                sessions.drain_sizes(servers, name, results, sizes)
        if options.recovery:
            own = stack.enter_context(private_broker(folder / "own-broker"))
            for name in _long_contenders(options):
                say(f"killing the broker while {options.recovery} wait: {name}")
                own_servers = Servers(own, store, folder / "recovery")
                sessions.recover(own_servers, name, results, waiting=options.recovery)
        with store.database() as database:
            return store_name(database.client)


def _names(text: str) -> list[str]:
    chosen = text.split(",")
    unknown = [name for name in chosen if name not in names.ALL]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
    return chosen


def _long_contenders(options: argparse.Namespace) -> list[str]:
    return [name for name in options.long_contenders if name in options.contenders]


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


if __name__ == "__main__":
    main()
