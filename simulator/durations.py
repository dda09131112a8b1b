"""How long something takes: always the same, or drawn from a distribution."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from random import Random

LONGEST = 86_400


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, drawn anew each time; never negative. `fixed` draws nothing from the generator."""

    distribution: str
    parameters: tuple[float, ...]

    def draw(self, random: Random) -> float:
        return max(0.0, _DRAWS[self.distribution](random, *self.parameters))


def fixed(seconds: float) -> Duration:
    return Duration("fixed", (seconds,))


PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "uniform": ("low", "high"),
    "normal": ("mean", "deviation"),
    "lognormal": ("median", "sigma"),
}

_DRAWS: Mapping[str, Callable[..., float]] = {
    "fixed": lambda random, seconds: seconds,  # noqa: ARG005 (every draw takes the generator)
    "uniform": Random.uniform,
    "normal": Random.normalvariate,
    "lognormal": lambda random, median, sigma: random.lognormvariate(log(median), sigma),
}


def parse_duration(value: object) -> Duration:
    """A duration from JSON: seconds, or `{"distribution": "uniform", "low": 0.1, "high": 2}` and the like.

    Raises ValueError with a sentence that says what is wrong.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return fixed(_seconds("seconds", value))
    if not isinstance(value, Mapping):
        raise ValueError("must be seconds or a distribution")
    distribution = value.get("distribution")
    if not isinstance(distribution, str) or distribution not in PARAMETERS:
        raise ValueError(f"distribution must be one of {', '.join(PARAMETERS)}")
    names = PARAMETERS[distribution]
    if set(value) != {"distribution", *names}:
        raise ValueError(f"{distribution} takes exactly {' and '.join(names)}")
    parameters = tuple(_seconds(name, value[name]) for name in names)
    if distribution == "lognormal" and parameters[0] == 0:
        raise ValueError("median must be above 0")
    if distribution == "uniform" and parameters[0] > parameters[1]:
        raise ValueError("low must not be above high")
    return Duration(distribution, parameters)


def show_duration(duration: Duration) -> float | dict[str, float | str]:
    """The JSON form of a duration; `parse_duration` reads it back."""
    if duration.distribution == "fixed":
        return duration.parameters[0]
    names = PARAMETERS[duration.distribution]
    return {"distribution": duration.distribution, **dict(zip(names, duration.parameters, strict=True))}


def _seconds(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LONGEST:
        raise ValueError(f"{name} must be a number from 0 to {LONGEST}")
    return float(value)
