"""``python -m bench.comparison.plots <results.json> <folder>``: the pictures of a run, as PNG files."""

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench.comparison import measures, names

_COLOURS = {
    names.POSTROOM: "#1f6f54",
    names.CELERY_PREFORK: "#9aa5b1",
    names.CELERY_THREADS: "#b8c0c8",
    names.DRAMATIQ: "#7b8794",
    names.AIO_PIKA: "#c7a76c",
}
_PARTS = {"API": "#4c78a8", "workers": "#f58518", "broker": "#54a24b", "store": "#b279a2"}
_SIZE = (8.0, 4.0)
_DPI = 110


@dataclass(frozen=True, slots=True)
class Run:
    """A run's JSON, by its measures' names."""

    medians: dict[str, dict[str, float]]
    contenders: Sequence[str]

    @classmethod
    def of(cls, written: dict[str, Any]) -> "Run":
        medians = {
            measure["name"]: {name: statistics.median(rounds) for name, rounds in measure["rounds"].items()}
            for measure in written["measures"]
        }
        contenders = [name for name in names.ALL if any(name in each for each in medians.values())]
        return cls(medians, contenders)

    def of_contender(self, measure: str, contender: str) -> float:
        """0 for what was not measured: a bar of no height."""
        return self.medians.get(measure, {}).get(contender, 0.0)


def draw(written: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what the run has measured; the paths of what was written."""
    run = Run.of(written)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "bench-rates.png": _rates(run),
        "bench-critical.png": _critical(run),
        "bench-cpu.png": _cpu(run),
    }
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=_DPI)
    return [folder / name for name in figures]


def _rates(run: Run) -> Figure:
    rows = {
        "accepted,\n1 connection": measures.accepts(1).name,
        "accepted,\n64 connections": measures.accepts(64).name,
        "drained": measures.DRAINED.name,
        "accepted, submitted\nand reported": measures.SUSTAINED.name,
    }
    return _bars(run, rows, title="Emails per second")


def _critical(run: Run) -> Figure:
    rows = {
        situation.removeprefix("critical, "): measures.latency(situation, "p99").name
        for situation in measures.SITUATIONS
    }
    figure = _bars(run, rows, title="A critical email, from /send to the provider: p99 in ms")
    figure.axes[0].set_yscale("log")
    return figure


def _cpu(run: Run) -> Figure:
    figure, axes = _empty("CPU-seconds per 1,000 emails, accepted, submitted and reported")
    below = [0.0] * len(run.contenders)
    for part, colour in _PARTS.items():
        heights = [run.of_contender(measures.cpu(part).name, name) for name in run.contenders]
        axes.bar(run.contenders, heights, bottom=below, color=colour, label=part)
        below = [lower + height for lower, height in zip(below, heights, strict=True)]
    axes.legend(frameon=False)
    return figure


def _bars(run: Run, rows: dict[str, str], *, title: str) -> Figure:
    """A group of bars a row, a bar a contender. rows: the measures by their labels."""
    figure, axes = _empty(title)
    width = 0.8 / max(len(run.contenders), 1)
    for number, name in enumerate(run.contenders):
        places = [index + (number - (len(run.contenders) - 1) / 2) * width for index in range(len(rows))]
        heights = [run.of_contender(measure, name) for measure in rows.values()]
        axes.bar(places, heights, width=width, color=_COLOURS[name], label=name)
    axes.set_xticks(range(len(rows)), list(rows))
    axes.legend(frameon=False)
    return figure


def _empty(title: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def main() -> None:
    results, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for path in draw(json.loads(results.read_text()), folder):
        print(path)


if __name__ == "__main__":
    main()
