"""Configuration: the only reader of the environment and of postroom.toml. Reports every fault at once."""

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from delivery.config_reader import Faults, Section
from delivery.config_values import (
    EXTRA_FIELDS,
    ApiConfig,
    ClaimConfig,
    Config,
    InvalidConfiguration,
    LoopConfig,
    ProviderConfig,
)
from delivery.domain.breaker import BreakerPolicy
from delivery.domain.delays import DelayStep
from delivery.domain.lanes import Lane, LanePolicy, OnUnknown
from delivery.domain.questions import CheckPolicy
from delivery.domain.rates import MOST_BURST, MOST_PER_SECOND, Rate
from topology.delay_steps import DELAY_STEPS, parse_step, step_name


@dataclass(frozen=True, slots=True, kw_only=True)
class _LaneDefaults:
    """A lane's settings as they would be written in postroom.toml."""

    retry: tuple[str, ...]
    max_wait: str
    weight: int
    on_unknown: OnUnknown = OnUnknown.HOLD
    unknown_deadline: str = "45m"


_DEFAULT_LANES = {
    # A second one-time password harms nobody; a second invoice does.
    Lane.CRITICAL: _LaneDefaults(
        retry=("1s", "5s", "15s", "30s"),
        max_wait="5m",
        weight=1,
        on_unknown=OnUnknown.RESEND,
        unknown_deadline="30s",
    ),
    Lane.TRANSACTIONAL: _LaneDefaults(
        retry=("5s", "30s", "1m", "5m", "15m", "30m", "1h", "2h"), max_wait="12h", weight=6
    ),
    Lane.STANDARD: _LaneDefaults(retry=("30s", "5m", "15m", "1h", "2h", "6h"), max_wait="24h", weight=3),
    Lane.BULK: _LaneDefaults(retry=("1m", "15m", "1h", "6h", "6h"), max_wait="48h", weight=1),
}

_DEVELOPMENT_HASH_KEY = "postroom-development-only"

CORES_PER_API_PROCESS = 2
MOST_API_PROCESSES = 8
"""By default. Eight accept more than one store is likely to write, and Python doesn't see a container's limit
of CPU time: a small container on a large machine must not start dozens.
"""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> timedelta:
    """``"250ms"``, ``"5s"``, ``"15m"``, ``"6h"``, ``"2d"``. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("must be a duration such as 250ms, 5s, 15m, 6h or 2d")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def api_processes_for(cores: int) -> int:
    """How many API processes suit a machine that has so many cores, for them and for all the rest.

    What arrives together at one of them is committed and published together: few are cheaper than many.
    """
    return min(max(1, cores // CORES_PER_API_PROCESS), MOST_API_PROCESSES)


def usable_cores() -> int:
    """Those that this process may run on; where the system can't say, all that there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_config(environ: Mapping[str, str]) -> Config:
    """Read the whole configuration. Raises InvalidConfiguration that names every fault.

    The default of API_WORKERS depends on the machine.
    """
    faults = Faults()
    env = Section(dict(environ), name="", faults=faults, is_environment=True)
    file = Section(_read_file(environ, faults), name="", faults=faults)
    provider = _read_provider(env, file.section("provider"))
    lanes = _read_lanes(file.section("lanes"))
    config = Config(
        amqp_url=env.text("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/", check=_scheme("amqp", "amqps")),
        mongodb_uri=env.text(
            "MONGODB_URI",
            "mongodb://127.0.0.1:27017/postroom",
            check=_scheme("mongodb", "mongodb+srv"),
        ),
        recipient_hash_key=env.text("RECIPIENT_HASH_KEY", _DEVELOPMENT_HASH_KEY).encode(),
        api=_read_api(env, file.section("api")),
        provider=provider,
        lanes=lanes,
        checks=_read_checks(file.section("checks"), reports_deliveries=provider.reports_deliveries),
        breaker=_read_breaker(file.section("breaker")),
        delay_steps=_delay_steps(lanes.values()),
        reserved_slots=file.section("slots").integer("reserved", _an_eighth(provider.max_in_flight), least=0),
        claims=_read_claims(file.section("claims")),
        loops=_read_loops(file.section("loops")),
        consumers_health_port=env.optional_port("CONSUMERS_HEALTH_PORT"),
        consumers_grace=timedelta(seconds=env.integer("CONSUMERS_GRACE_SECONDS", 16, least=1, most=600)),
    )
    _check_together(config, faults)
    file.refuse_unread()
    if faults.found:
        raise InvalidConfiguration("; ".join(faults.found))
    return config


def _read_file(environ: Mapping[str, str], faults: Faults) -> dict[str, Any]:
    named = environ.get("POSTROOM_CONFIG")
    path = Path(named or "postroom.toml")
    if not named and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        faults.add(f"POSTROOM_CONFIG: {path} can't be read ({error.strerror})")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.add(f"{path}: {error}")
    return {}


def _read_api(env: Section, section: Section) -> ApiConfig:
    per_second = section.integer("rate", 0, least=0, most=MOST_PER_SECOND)
    return ApiConfig(
        host=env.text("API_HOST", "127.0.0.1"),
        port=env.integer("API_PORT", 8080, least=1, most=65535),
        workers=env.integer("API_WORKERS", api_processes_for(usable_cores()), least=1, most=64),
        threads=env.integer("API_THREADS", 32, least=2, most=512),
        keys=env.words("API_KEYS"),
        max_body_bytes=section.integer("max_body_bytes", 1024 * 1024, least=1024, most=12 * 1024 * 1024),
        max_email_body_bytes=section.integer(
            "max_email_body_bytes", 16 * 1024 * 1024, least=1024, most=32 * 1024 * 1024
        ),
        rate=Rate(per_second, section.integer("burst", 0, least=0, most=MOST_BURST) or per_second),
    )


def _read_provider(env: Section, section: Section) -> ProviderConfig:
    ceiling = section.integer("max_in_flight", 64, least=1, most=4096)
    # The environment goes first: it comes with the provider's address.
    in_file = section.choices("extra_fields", (), allowed=EXTRA_FIELDS)
    extra_fields = env.chosen_words("PROVIDER_EXTRA_FIELDS", allowed=EXTRA_FIELDS) or in_file
    return ProviderConfig(
        name=section.text("name", "mail-delivery-service"),
        url=env.text("PROVIDER_URL", "http://127.0.0.1:8081", check=_scheme("http", "https")).rstrip("/"),
        connect_timeout=section.duration("connect_timeout", "2s", parse=parse_duration),
        total_timeout=section.duration("total_timeout", "15s", parse=parse_duration),
        min_in_flight=section.integer("min_in_flight", min(4, ceiling), least=1, most=4096),
        max_in_flight=ceiling,
        extra_fields=frozenset(extra_fields),
        reports_deliveries=section.boolean("reports_deliveries", True),
        webhook_secrets=env.words("WEBHOOK_SECRETS"),
        webhook_path_tokens=env.words("WEBHOOK_PATH_TOKENS"),
    )


def _read_lanes(section: Section) -> dict[Lane, LanePolicy]:
    return {lane: _read_lane(section.section(lane.value), _DEFAULT_LANES[lane]) for lane in Lane}


def _read_lane(given: Section, default: _LaneDefaults) -> LanePolicy:
    return LanePolicy(
        retry_schedule=given.durations("retry", default.retry, parse=parse_step),
        max_wait=given.duration("max_wait", default.max_wait, parse=parse_duration),
        weight=given.integer("weight", default.weight, least=1, most=1000),
        on_unknown=OnUnknown(given.choice("on_unknown", default.on_unknown, allowed=tuple(OnUnknown))),
        unknown_deadline=given.duration("unknown_deadline", default.unknown_deadline, parse=parse_duration),
    )


def _delay_steps(policies: Iterable[LanePolicy]) -> tuple[DelayStep, ...]:
    """The steps that always exist, and those that a lane's schedule asks for."""
    lengths = {parse_step(step) for step in DELAY_STEPS}.union(
        *(policy.retry_schedule for policy in policies)
    )
    return tuple(DelayStep(length, step_name(length)) for length in sorted(lengths))


def _read_claims(section: Section) -> ClaimConfig:
    return ClaimConfig(
        lease=section.duration("lease", "45s", parse=parse_duration),
        margin=section.duration("margin", "2s", parse=parse_duration),
    )


def _read_loops(section: Section) -> LoopConfig:
    return LoopConfig(
        relay_interval=section.duration("relay_interval", "1s", parse=parse_duration),
        relay_grace=section.duration("relay_grace", "5s", parse=parse_duration),
        reconcile_interval=section.duration("reconcile_interval", "5s", parse=parse_duration),
        lost_margin=section.duration("lost_margin", "60s", parse=parse_duration),
        check_interval=section.duration("check_interval", "1s", parse=parse_duration),
    )


def _read_checks(section: Section, *, reports_deliveries: bool) -> CheckPolicy:
    offsets = section.durations("offsets", ["1m", "5m", "10m", "15m", "30m"], parse=parse_duration)
    of_lanes = section.durations_by("lane_offsets", tuple(Lane), parse=parse_duration)
    overdue = section.duration("report_overdue", "30m", parse=parse_duration)
    return CheckPolicy(
        offsets=tuple(sorted(offsets)),
        lane_offsets={Lane(lane): tuple(sorted(own)) for lane, own in of_lanes.items()},
        late_accept=section.duration("late_accept", "150s", parse=parse_duration),
        report_overdue=overdue if reports_deliveries else None,
        calls_per_minute=section.integer("calls_per_minute", 60, least=1, most=100_000),
    )


def _read_breaker(section: Section) -> BreakerPolicy:
    return BreakerPolicy(
        run=section.integer("run", 20, least=1, most=100_000),
        share=section.integer("share", 60, least=1, most=100),
        window=section.duration("window", "30s", parse=parse_duration),
        least_calls=section.integer("least_calls", 50, least=1, most=1_000_000),
        first_pause=section.duration("first_pause", "1s", parse=parse_duration),
        longest_pause=section.duration("longest_pause", "30s", parse=parse_duration),
    )


def _an_eighth(max_in_flight: int) -> int:
    """At least one, where there is another for the rest."""
    return min(max(1, max_in_flight // 8), max_in_flight - 1)


def _check_together(config: Config, faults: Faults) -> None:
    if config.reserved_slots >= config.provider.max_in_flight:
        faults.add("slots.reserved: must be less than provider.max_in_flight, or only critical is ever sent")
    if config.provider.min_in_flight > config.provider.max_in_flight:
        faults.add("provider.min_in_flight: must not be more than provider.max_in_flight")
    if config.reserved_slots and config.provider.min_in_flight < 2:
        faults.add("provider.min_in_flight: must be at least 2 while slots.reserved is not 0")
    if config.claims.lease <= config.provider.total_timeout + config.claims.margin:
        faults.add("claims.lease: must be longer than provider.total_timeout plus claims.margin")
    if config.breaker.first_pause > config.breaker.longest_pause:
        faults.add("breaker.first_pause: must not be longer than breaker.longest_pause")
    if config.provider.connect_timeout > config.provider.total_timeout:
        faults.add("provider.connect_timeout: must not be longer than provider.total_timeout")


def _scheme(*schemes: str) -> Callable[[str], str | None]:
    """A check of a URL: its fault, if it has one."""

    def check(text: str) -> str | None:
        try:
            parts = urlsplit(text)
            has_one_host = "," not in parts.netloc  # MongoDB's URIs may name several
            valid = parts.scheme in schemes and bool(parts.hostname) and (not has_one_host or parts.port != 0)
        except ValueError:
            valid = False
        return None if valid else f"must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)}"

    return check
