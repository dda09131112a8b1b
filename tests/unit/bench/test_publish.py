"""What README says of a run."""

import json
from pathlib import Path

import pytest

from bench.comparison import markdown, measures, publish
from bench.comparison.names import DRAMATIQ, POSTROOM
from bench.comparison.run import Run
from tests.unit.bench.test_run import COST, DRAINED, written


def test_the_table_has_a_row_for_what_was_measured() -> None:
    assert markdown.table(Run.of(written(DRAINED, (3000, 1200)))).splitlines() == [
        f"|  | {POSTROOM} | {DRAMATIQ} | × best task queue |",
        "| --- | ---: | ---: | ---: |",
        "| submitted out of a backlog, /s | 3,000 | 1,200 | 2.5 |",
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.5, "1,234"), (12.34, "12"), (1.234, "1.2"), (0.123, "0.12")]
)
def test_numbers_have_two_figures_at_least(value: float, shown: str) -> None:
    row = markdown.table(Run.of(written(COST, (value, 1)))).splitlines()[-1]
    assert row.split(" | ")[1] == shown


def test_sizes_are_in_their_order() -> None:
    names = [measures.cpu_of(size).name for size in (1_000_000, 1000, 10_000)]
    assert measures.sizes_of([*names, measures.DRAINED.name]) == [1000, 10_000, 1_000_000]


def test_figures_go_between_the_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{publish.BEGIN}\nold\n{publish.END}\n\nafter\n")
    results = tmp_path / "results.json"
    results.write_text(json.dumps(written(DRAINED, (3000, 1200))))
    for _ in range(2):
        paths = publish.publish([results], tmp_path)
        before, _, rest = readme.read_text().partition(publish.BEGIN)
        figures, _, after = rest.partition(publish.END)
        assert (before, after) == ("before\n\n", "\n\nafter\n")
        assert "| submitted out of a backlog, /s | 3,000 | 1,200 | 2.5 |" in figures
        assert "docs/images/bench-rates.png" in figures
        assert all(path.stat().st_size for path in paths)


def test_a_readme_without_a_place_for_figures_is_left_alone() -> None:
    with pytest.raises(ValueError, match="figures"):
        publish.with_figures("nothing here", "figures")


def test_readme_shows_the_figures_that_are_kept() -> None:
    kept = json.loads((publish.CHECKOUT / "docs/figures/comparison.json").read_text(encoding="utf-8"))
    readme = (publish.CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert publish.with_figures(readme, publish.section(kept)) == readme
