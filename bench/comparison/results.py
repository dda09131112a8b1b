"""What was measured: a value a round for each measure of each contender, and their ratios."""

import statistics
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from bench.comparison.names import POSTROOM, TASK_QUEUES


class Better(StrEnum):
    MORE = "more"
    LESS = "less"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Measure:
    """better: which way it gets better. ceiling: the measure that says how good it could be, if one does."""

    name: str
    unit: str
    better: Better
    ceiling: str | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, and their range."""

    median: float
    least: float
    most: float


class Results:
    """The same round must add its values of one measure in the same run: ratios pair them by position."""

    def __init__(self) -> None:
        self._values: dict[Measure, dict[str, list[float]]] = {}
        self._ceilings: dict[str, tuple[str, list[float]]] = {}

    def add(self, measure: Measure, contender: str, value: float) -> None:
        self._values.setdefault(measure, defaultdict(list))[contender].append(value)

    def add_ceiling(self, name: str, unit: str, value: float) -> None:
        self._ceilings.setdefault(name, (unit, []))[1].append(value)

    @property
    def rounds(self) -> int:
        """How many there were of what was measured most often."""
        return max((len(of) for each in self._values.values() for of in each.values()), default=0)

    @property
    def measures(self) -> list[Measure]:
        return list(self._values)

    def values(self, measure: Measure) -> dict[str, list[float]]:
        return dict(self._values[measure])

    @property
    def ceilings(self) -> dict[str, tuple[str, list[float]]]:
        return dict(self._ceilings)

    def to_peers(self, measure: Measure) -> Spread | None:
        """How many times better postroom is than the better of the task queues, round by round.

        None where one of both was not measured, nothing is better, or a value of 0 has no ratio.
        """
        if measure.better is Better.NEITHER:
            return None
        values = self._values[measure]
        peers = [values[name] for name in TASK_QUEUES if values.get(name)]
        if not peers or not values.get(POSTROOM):
            return None
        pick = max if measure.better is Better.MORE else min
        best = [pick(of_round) for of_round in zip(*peers, strict=False)]
        return _ratios(measure, values[POSTROOM], best)

    def to_ceiling(self, measure: Measure) -> Spread | None:
        """Which share of its ceiling postroom reaches, round by round; None where there is none."""
        values = self._values[measure].get(POSTROOM)
        if measure.ceiling is None or measure.ceiling not in self._ceilings or not values:
            return None
        return _ratios(measure, values, self._ceilings[measure.ceiling][1])


def spread(values: list[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def _ratios(measure: Measure, ours: list[float], others: list[float]) -> Spread | None:
    pairs = [
        (mine, other) if measure.better is Better.MORE else (other, mine)
        for mine, other in zip(ours, others, strict=False)
    ]
    if not pairs or any(below == 0 for _, below in pairs):
        return None
    return spread([above / below for above, below in pairs])
