"""Numbers out of samples."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value: the median of its rounds, and their range."""

    name: str
    unit: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> str:
        return f"{_short(min(self.rounds))}–{_short(max(self.rounds))}"

    def row(self) -> tuple[str, str, str, str]:
        return self.name, _short(self.median), self.unit, self.spread if len(self.rounds) > 1 else ""


class Rounds:
    """Figures by name, one value a round."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, name: str, unit: str, value: float) -> None:
        self._values[name, unit].append(value)

    def figures(self) -> list[Figure]:
        return [
            Figure(name=name, unit=unit, rounds=tuple(values))
            for (name, unit), values in self._values.items()
        ]


def percentile(samples: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of the samples do not exceed (nearest rank). Raises on no samples."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("no samples")
    return ordered[max(0, min(len(ordered) - 1, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
