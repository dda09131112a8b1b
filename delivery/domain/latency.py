"""Whether a provider answers more slowly than it does by itself: its own latency, and a round of calls."""

import math
from dataclasses import dataclass, field
from statistics import median

TOLERANCE = 2.0
"""So many times its own latency is not slow yet."""

UNIMPORTANT = 0.1
"""Seconds. A latency below counts as this: such differences are our own machine's, and nobody minds them."""

NO_ANSWER = math.inf
"""The latency of a call that brought no answer."""


class Baseline:
    """The latency of a provider that is not under load from us. In seconds.

    It is learned from rounds in which few calls were out, because only then it can't be our doing. A
    provider that is slow by nature so becomes the measure of itself.
    """

    def __init__(self) -> None:
        self._own: float | None = None

    def learn(self, latency: float) -> None:
        """A round without load. Half of the way is enough: twice the baseline is tolerated."""
        if latency < NO_ANSWER:
            self._own = latency if self._own is None else (self._own + latency) / 2

    def gradient(self, latency: float) -> float:
        """1 while the latency is tolerable, else by how much it is not: tolerable divided by actual.

        A latency under load that is far below the baseline says that the baseline is out of date.
        """
        if self._own is None:
            return 1.0 if latency < NO_ANSWER else 0.0
        if latency < self._own / 2:
            self.learn(latency)
        return min(1.0, self._tolerable / max(latency, UNIMPORTANT))

    def is_slow(self, latency: float) -> bool:
        return latency > self._tolerable

    @property
    def _tolerable(self) -> float:
        return TOLERANCE * max(self._own or 0.0, UNIMPORTANT)


@dataclass(slots=True)
class Round:
    """Calls begun since a moment: about one round trip of as many calls as may be out.

    most: how many were out at once; was_full: whether more might have been, had they been allowed.
    """

    since: float
    latencies: list[float] = field(default_factory=list)
    most: int = 0
    was_full: bool = False

    @property
    def latency(self) -> float:
        """The median, so that a few slow recipients don't count."""
        return median(self.latencies)
