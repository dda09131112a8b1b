"""The results as one table for people, and as JSON for everything else."""

from typing import Any

from rich.table import Table

from bench.comparison import names
from bench.comparison.results import Measure, Results, Spread, spread


def table(results: Results, *, title: str) -> Table:
    """A row a measure: each contender's median and range, and postroom's ratios."""
    present = [name for name in names.ALL if any(name in results.values(each) for each in results.measures)]
    shown = Table("what", "", *present, "× best task queue", "of its ceiling", title=title)
    for measure in results.measures:
        values = results.values(measure)
        if _is_uneventful(measure, values):
            continue
        cells = [_cell(values.get(name)) for name in present]
        shown.add_row(
            measure.name,
            measure.unit,
            *cells,
            _ratio(results.to_peers(measure)),
            _share(results.to_ceiling(measure)),
        )
    shown.add_section()
    for name, (unit, rounds) in results.ceilings.items():
        shown.add_row(f"ceiling: {name}", unit, *[""] * len(present), "", _cell(rounds))
    return shown


def as_json(results: Results, *, about: dict[str, object]) -> dict[str, Any]:
    """All rounds of everything. ``about``: store, machine, options."""
    return {
        "about": about,
        "measures": [_measure_json(results, measure) for measure in results.measures],
        "ceilings": [
            {"name": name, "unit": unit, "rounds": rounds}
            for name, (unit, rounds) in results.ceilings.items()
        ],
    }


def _measure_json(results: Results, measure: Measure) -> dict[str, object]:
    return {
        "name": measure.name,
        "unit": measure.unit,
        "better": measure.better.value,
        "ceiling": measure.ceiling,
        "rounds": results.values(measure),
        "times_best_task_queue": _spread_json(results.to_peers(measure)),
        "share_of_ceiling": _spread_json(results.to_ceiling(measure)),
    }


def _spread_json(ratio: Spread | None) -> dict[str, float] | None:
    return None if ratio is None else {"median": ratio.median, "least": ratio.least, "most": ratio.most}


def _is_uneventful(measure: Measure, values: dict[str, list[float]]) -> bool:
    """A count of failures, and there were none."""
    return measure.name.endswith("not accepted") and not any(any(rounds) for rounds in values.values())


def _cell(rounds: list[float] | None) -> str:
    if not rounds:
        return ""
    of = spread(rounds)
    if len(rounds) == 1:
        return _short(of.median)
    return f"{_short(of.median)} [dim]{_short(of.least)}–{_short(of.most)}[/dim]"


def _ratio(ratio: Spread | None) -> str:
    if ratio is None:
        return ""
    return f"[bold]{ratio.median:.2g}[/bold] [dim]{ratio.least:.2g}–{ratio.most:.2g}[/dim]"


def _share(ratio: Spread | None) -> str:
    return "" if ratio is None else f"{ratio.median:.0%}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
