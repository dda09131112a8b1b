"""What a run's JSON says when it is read again."""

from bench.comparison import measures
from bench.comparison.names import DRAMATIQ, POSTROOM
from bench.comparison.report import as_json
from bench.comparison.results import Measure, Results
from bench.comparison.run import Json, Run, merged

DRAINED = measures.DRAINED
COST = measures.cpu_of(1000)


def written(measure: Measure, *rounds: tuple[float, float]) -> Json:
    """A run of postroom and Dramatiq."""
    results = Results()
    for ours, theirs in rounds:
        results.add(measure, POSTROOM, ours)
        results.add(measure, DRAMATIQ, theirs)
    return as_json(results, about={"store": "MongoDB 8", "machine": "2 cores", "options": {}})


def test_medians_and_ratios_come_back() -> None:
    run = Run.of(written(DRAINED, (10, 5), (30, 10), (20, 20)))
    assert (run.median(DRAINED.name, POSTROOM), run.median(DRAINED.name, DRAMATIQ)) == (20, 10)
    assert run.ratios == {DRAINED.name: 2.0}
    assert (run.rounds, run.contenders) == (3, [POSTROOM, DRAMATIQ])


def test_what_was_not_measured_has_no_median() -> None:
    run = Run.of(written(DRAINED, (10, 5)))
    assert run.median(COST.name, POSTROOM) is None
    assert run.median(DRAINED.name, "somebody") is None
    assert run.who_has(DRAINED.name) == [POSTROOM, DRAMATIQ]
    assert run.who_has(DRAINED.name, COST.name) == []


def test_of_two_runs_each_adds_what_it_measured_and_the_last_counts() -> None:
    first, second = written(DRAINED, (10, 5)), written(COST, (1, 2))
    both = Run.of(merged([first, second]))
    assert both.medians == {**Run.of(first).medians, **Run.of(second).medians}
    again = Run.of(merged([first, second, written(DRAINED, (40, 5))]))
    assert again.median(DRAINED.name, POSTROOM) == 40
    assert again.median(COST.name, POSTROOM) == 1
