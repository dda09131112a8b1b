"""The fault settings: what goes wrong for every email, whatever its recipient."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from simulator.durations import Duration, fixed, show_duration
from simulator.tag_parser import Tag, parse_tag
from simulator.tags import Axis

NO_TIME = fixed(0.0)
A_MOMENT = fixed(0.1)


class DownMode(StrEnum):
    """What a caller meets while the provider is down. Calls in flight finish in either case."""

    REFUSE = "refuse"
    UNAVAILABLE = "503"


@dataclass(frozen=True, slots=True)
class Down:
    """`seconds` None: until it is ended."""

    mode: DownMode
    seconds: float | None


class Beyond(StrEnum):
    """What happens to the calls beyond a capacity."""

    REFUSED = "429"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many submissions are worked on at once, and what becomes of more."""

    calls: int
    beyond: Beyond


@dataclass(frozen=True, slots=True)
class Faults:
    """The settings, healthy by default; README.md explains each. Times are seconds, rates 0 to 1."""

    latency: Duration = NO_TIME
    capacity: Capacity | None = None
    error_rate: float = 0.0
    rates: Mapping[str, float] = field(default_factory=dict)
    down: Down | None = None
    reset_connections: float = 0.0
    retry_after: float = 1.0
    webhook_delay: Duration = A_MOMENT
    webhook_shuffle: float = 0.0
    status_budget: int | None = 60
    status_ban: float = 60.0


def show_faults(faults: Faults) -> dict[str, object]:
    """The JSON form of the settings; `faults_parser.merge_faults` reads it back."""
    return {
        **asdict(faults),
        "latency": show_duration(faults.latency),
        "webhook_delay": show_duration(faults.webhook_delay),
    }


def odds(faults: Faults) -> Mapping[Axis, tuple[tuple[Tag, float], ...]]:
    """The tags that may hit any email, by axis, each with its probability; at most one per axis hits."""
    rates = {"error": faults.error_rate, **faults.rates}
    by_axis: dict[Axis, tuple[tuple[Tag, float], ...]] = {}
    for text, rate in rates.items():
        if rate > 0:
            tag = parse_tag(text)
            by_axis[tag.axis] = (*by_axis.get(tag.axis, ()), (tag, rate))
    return by_axis
