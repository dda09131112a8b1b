"""The pictures of a run, as PNG files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench.comparison import measures, names
from bench.comparison.run import Run

_COLOURS = {
    names.POSTROOM: "#1f6f54",
    names.CELERY_PREFORK: "#9aa5b1",
    names.CELERY_THREADS: "#9aa5b1",
    names.DRAMATIQ: "#9aa5b1",
    names.AIO_PIKA: "#c7a76c",
}
_PARTS = {"API": "#1f6f54", "workers": "#5fa88a", "broker": "#d9a441", "store": "#8d6a9f"}
_LINES = {
    names.POSTROOM: "#1f6f54",
    names.CELERY_PREFORK: "#8d6a9f",
    names.CELERY_THREADS: "#4c78a8",
    names.DRAMATIQ: "#6b7684",
    names.AIO_PIKA: "#c7a76c",
}
_WIDTH = 10.0
_DPI = 110
_BAR = 0.66
_GREY = "#6b7684"


def draw(run: Run, folder: Path) -> list[Path]:
    """Draw what the run has measured; the paths of what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = _figures(run)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=_DPI)
    return [folder / name for name in figures]


def names_of(run: Run) -> list[str]:
    """The files that ``draw`` would write."""
    return list(_figures(run))


def _figures(run: Run) -> dict[str, Figure]:
    made = {
        "bench-rates.png": _rates(run),
        "bench-cpu.png": _cpu(run),
        "bench-critical.png": _critical(run),
        "bench-sizes.png": _sizes(run),
        "bench-recovery.png": _recovery(run),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def _rates(run: Run) -> Figure | None:
    """Emails per second, a panel a measure with a scale of its own."""
    panels = {
        "accepted, submitted and reported": measures.SUSTAINED.name,
        "accepted, 64 connections": measures.accepts(64).name,
        "submitted out of a backlog": measures.DRAINED.name,
    }
    return _panels_of_bars(run, panels, title="Emails per second: longer is better", unit="")


def _recovery(run: Run) -> Figure | None:
    panels = {"the first email after it": measures.RESTARTED.name, "the 500th": measures.RECOVERED.name}
    title = "Broker killed and started again: seconds until …"
    return _panels_of_bars(run, panels, title=title, unit=" s")


def _panels_of_bars(run: Run, panels: dict[str, str], *, title: str, unit: str) -> Figure | None:
    panels = {label: measure for label, measure in panels.items() if measure in run.medians}
    shown = [name for name in run.contenders if any(run.median(each, name) for each in panels.values())]
    if not panels:
        return None
    figure, row = _figure(title, count=len(panels), bars=len(shown))
    for axes, (label, measure) in zip(row, panels.items(), strict=True):
        values = [run.median(measure, name) or 0.0 for name in shown]
        bars = axes.barh(shown, values, height=_BAR, color=[_COLOURS[name] for name in shown])
        axes.bar_label(bars, labels=[f"{_short(value)}{unit}" for value in values], padding=3)
        axes.set_title(label, loc="left", fontsize=10, color=_GREY)
        axes.set_xlim(0, max(values) * 1.22)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.invert_yaxis()
    return figure


def _cpu(run: Run) -> Figure | None:
    """One bar a contender, of the processes' parts."""
    parts = {part: measures.cpu(part).name for part in _PARTS}
    shown = run.who_has(*parts.values())
    if not shown:
        return None
    title = "CPU-seconds per 1,000 emails, accepted, submitted and reported: shorter is better"
    figure, (axes,) = _figure(title, count=1, bars=len(shown) + 1)
    sums = [0.0] * len(shown)
    for part, measure in parts.items():
        lengths = [run.medians[measure][name] for name in shown]
        axes.barh(shown, lengths, left=sums, height=_BAR, color=_PARTS[part], label=part)
        sums = [left + length for left, length in zip(sums, lengths, strict=True)]
    for name, total in zip(shown, sums, strict=True):
        axes.annotate(f" {total:.1f}", (total, name), va="center")
    axes.set_xlim(0, max(sums) * 1.08)
    axes.invert_yaxis()
    axes.legend(frameon=False, ncols=len(_PARTS), loc="upper center", bbox_to_anchor=(0.5, -0.08))
    return figure


def _critical(run: Run) -> Figure | None:
    """A line from the median to the slowest, on one logarithmic scale for all situations."""
    panels = {situation: situation.removeprefix("critical, ") for situation in measures.SITUATIONS}
    p50 = {situation: measures.latency(situation, "p50").name for situation in panels}
    p99 = {situation: measures.latency(situation, "p99").name for situation in panels}
    shown = run.who_has(*p50.values(), *p99.values())
    if not shown:
        return None
    title = "A critical email from /send to the provider, ms: median (ring) to p99 (dot); left is better"
    figure, row = _figure(title, count=len(panels), bars=len(shown), sharex=True)
    for axes, (situation, label) in zip(row, panels.items(), strict=True):
        for name in shown:
            ends = [run.medians[p50[situation]][name], run.medians[p99[situation]][name]]
            colour = _COLOURS[name]
            axes.plot(ends, [name, name], color=colour, linewidth=3)
            axes.plot(ends[:1], [name], "o", color="white", markeredgecolor=colour, markersize=8)
            axes.plot(ends[1:], [name], "o", color=colour, markersize=9)
            text = f"{_short(ends[0])} – {_short(ends[1])}"
            axes.annotate(text, (ends[0], name), xytext=(-2, 8), textcoords="offset points", fontsize=8)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_title(label, loc="left", fontsize=10, color=_GREY)
        axes.grid(axis="x", color="#e3e6e9")
        axes.set_axisbelow(True)
        axes.set_ylim(len(shown) - 0.4, -0.7)
    row[0].set_xlim(right=max(max(run.medians[each].values()) for each in p99.values()) * 2.5)
    return figure


def _sizes(run: Run) -> Figure | None:
    """What an email costs, and how many are submitted a second, by how many wait."""
    sizes = measures.sizes_of(run.medians)
    if not sizes:
        return None
    figure, row = _figure("Emails out of a backlog, by how many wait: flat is good", count=2, bars=6)
    panels = {
        "CPU-seconds per 1,000 emails": measures.cpu_of,
        "emails per second": measures.drained_of,
    }
    for axes, (label, measure) in zip(row, panels.items(), strict=True):
        for name in run.contenders:
            points = [(size, run.median(measure(size).name, name)) for size in sizes]
            known = [(size, value) for size, value in points if value is not None]
            if known:
                axes.plot(*zip(*known, strict=True), "o-", color=_LINES[name], label=name)
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_ylim(bottom=0)
        axes.set_title(label, loc="left", fontsize=10, color=_GREY)
        axes.tick_params(axis="y", labelleft=True, length=3)
    row[0].legend(frameon=False)
    return figure


def _figure(title: str, *, count: int, bars: int, sharex: bool = False) -> tuple[Figure, Sequence[Any]]:
    """A row of panels under one title."""
    figure = Figure(figsize=(_WIDTH, 1.0 + 0.42 * bars), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    row = figure.subplots(1, count, squeeze=False, sharex=sharex)[0]
    for number, axes in enumerate(row):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0, labelleft=number == 0)
    return figure, row


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
