"""Ratios of what was measured."""

from collections.abc import Mapping, Sequence

import pytest

from bench.comparison.names import AIO_PIKA, CELERY_THREADS, DRAMATIQ, POSTROOM
from bench.comparison.report import as_json
from bench.comparison.results import Better, Measure, Results, Spread

RATE = Measure("rate", "/s", Better.MORE, "what is possible")
LATENCY = Measure("latency", "ms", Better.LESS)


def results_of(measure: Measure, rounds: Mapping[str, Sequence[float]]) -> Results:
    results = Results()
    for contender, values in rounds.items():
        for value in values:
            results.add(measure, contender, value)
    return results


def test_a_rate_is_compared_with_the_fastest_task_queue_of_each_round() -> None:
    results = results_of(
        RATE, {POSTROOM: [100, 120, 90], CELERY_THREADS: [10, 20, 30], DRAMATIQ: [20, 10, 15]}
    )
    assert results.to_peers(RATE) == Spread(median=5.0, least=3.0, most=6.0)


def test_a_latency_is_compared_with_the_shortest() -> None:
    results = results_of(LATENCY, {POSTROOM: [10], CELERY_THREADS: [40], DRAMATIQ: [20]})
    assert results.to_peers(LATENCY) == Spread(median=2.0, least=2.0, most=2.0)


def test_what_is_neither_good_nor_bad_has_no_ratio() -> None:
    results = results_of(Measure("left", "", Better.NEITHER), {POSTROOM: [10], DRAMATIQ: [20]})
    assert results.to_peers(results.measures[0]) is None


def test_aio_pika_is_no_task_queue() -> None:
    results = results_of(RATE, {POSTROOM: [100], AIO_PIKA: [50]})
    assert results.to_peers(RATE) is None


def test_a_rate_has_a_share_of_its_ceiling() -> None:
    results = results_of(RATE, {POSTROOM: [100, 50]})
    results.add_ceiling("what is possible", "/s", 200)
    results.add_ceiling("what is possible", "/s", 200)
    assert results.to_ceiling(RATE) == Spread(median=0.375, least=0.25, most=0.5)


def test_what_has_no_ceiling_has_no_share_of_it() -> None:
    assert results_of(LATENCY, {POSTROOM: [10]}).to_ceiling(LATENCY) is None


@pytest.mark.parametrize("measure", [RATE, LATENCY])
def test_nothing_is_divided_by_zero(measure: Measure) -> None:
    results = results_of(measure, {POSTROOM: [0], DRAMATIQ: [0]})
    assert results.to_peers(measure) is None


def test_every_round_is_in_the_json() -> None:
    results = results_of(RATE, {POSTROOM: [100, 120], DRAMATIQ: [50, 40]})
    results.add_ceiling("what is possible", "/s", 200)
    assert as_json(results, about={"store": "MongoDB 8"}) == {
        "about": {"store": "MongoDB 8"},
        "measures": [
            {
                "name": "rate",
                "unit": "/s",
                "better": "more",
                "ceiling": "what is possible",
                "rounds": {POSTROOM: [100, 120], DRAMATIQ: [50, 40]},
                "times_best_task_queue": {"median": 2.5, "least": 2.0, "most": 3.0},
                "share_of_ceiling": {"median": 0.5, "least": 0.5, "most": 0.5},
            }
        ],
        "ceilings": [{"name": "what is possible", "unit": "/s", "rounds": [200]}],
    }
