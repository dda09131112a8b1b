"""Numbers out of samples."""

import statistics
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


def percentile(samples: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of the samples do not exceed (nearest rank). Raises on no samples."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("no samples")
    return ordered[max(0, min(len(ordered) - 1, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
