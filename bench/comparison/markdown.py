"""``python -m bench.comparison.markdown <results.json>…``: the figures that README shows."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.comparison import measures
from bench.comparison.results import Measure
from bench.comparison.run import Run, read


def _rows() -> list[tuple[str, Measure]]:
    critical = "a critical email, `/send` to provider"
    return [
        ("accepted, submitted and reported", measures.SUSTAINED),
        ("… CPU-seconds for 1,000", measures.cpu("in all")),
        ("… where the store has one core, and all else the other", measures.SUSTAINED_APART),
        ("… … load of the store's core", measures.STORE_BUSY),
        ("accepted, 64 connections", measures.accepts(64)),
        ("… p99", measures.accept_latency(64, "p99")),
        ("… CPU-seconds for 1,000", measures.accept_cpu(64)),
        ("submitted out of a backlog", measures.DRAINED),
        (f"{critical}: p50", measures.latency(measures.IDLE, "p50")),
        ("… p99", measures.latency(measures.IDLE, "p99")),
        ("… under a bulk backlog: p50", measures.latency(measures.UNDER_BACKLOG, "p50")),
        ("… p99", measures.latency(measures.UNDER_BACKLOG, "p99")),
        ("… and the provider takes 2 s a call: p50", measures.latency(measures.UNDER_SLOW, "p50")),
        ("… p99", measures.latency(measures.UNDER_SLOW, "p99")),
        ("memory of the workers", measures.WORKERS_MEMORY),
        ("broker killed: back at work after", measures.RECOVERED),
    ]


def table(run: Run) -> str:
    """A row a measure, a column a contender; medians. What was not measured is left out."""
    lines = [
        _line(["", *run.contenders, "× best task queue"]),
        _line(["---", *["---:"] * len(run.contenders), "---:"]),
    ]
    for label, measure in [*_rows(), *_sizes(run)]:
        cells = [run.median(measure.name, name) for name in run.contenders]
        if any(cell is not None for cell in cells):
            shown = ["" if cell is None else _number(cell) for cell in cells]
            ratio = run.ratios.get(measure.name)
            unit = f", {measure.unit}" if measure.unit else ""
            lines.append(_line([f"{label}{unit}", *shown, "" if ratio is None else f"{ratio:.1f}"]))
    return "\n".join(lines)


def _sizes(run: Run) -> list[tuple[str, Measure]]:
    sizes = measures.sizes_of(run.medians)
    return [(f"CPU-seconds for 1,000 out of {size:,} waiting", measures.cpu_of(size)) for size in sizes]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    if abs(value) >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def main() -> None:
    print(table(Run.of(read([Path(path) for path in sys.argv[1:]]))))


if __name__ == "__main__":
    main()
