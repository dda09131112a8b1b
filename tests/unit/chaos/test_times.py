"""The shortened times can be used, and keep what the defaults keep between them."""

from datetime import timedelta

import pytest

from delivery.config import load_config
from delivery.config_values import Config
from delivery.domain.lanes import Lane
from tests.chaos.times import HOLD_DEADLINE, LATE_ACCEPT, SLOW, Times

FACTOR = 15
TIMES = Times(factor=FACTOR)


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Config:
    file = tmp_path_factory.mktemp("times") / "postroom.toml"
    file.write_text(TIMES.config(), encoding="utf-8")
    return load_config({"POSTROOM_CONFIG": str(file)})


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Config:
    file = tmp_path_factory.mktemp("times") / "postroom.toml"
    file.touch()
    return load_config({"POSTROOM_CONFIG": str(file)})


def shortened(real: timedelta) -> timedelta:
    """To the millisecond, as the configuration is written."""
    return timedelta(milliseconds=round(real / FACTOR / timedelta(milliseconds=1)))


def test_what_decides_about_unknown_outcomes_keeps_its_proportions(scaled: Config, default: Config) -> None:
    assert scaled.provider.total_timeout == shortened(default.provider.total_timeout)
    assert scaled.claims.lease == shortened(default.claims.lease)
    assert scaled.checks.late_accept == shortened(default.checks.late_accept)
    assert scaled.checks.report_overdue == shortened(default.checks.report_overdue or timedelta())
    assert scaled.checks.offsets == tuple(shortened(offset) for offset in default.checks.offsets)
    assert scaled.checks.calls_per_minute == default.checks.calls_per_minute * FACTOR
    assert scaled.breaker.window == shortened(default.breaker.window)
    assert scaled.breaker.longest_pause == shortened(default.breaker.longest_pause)
    for lane in Lane:
        assert scaled.lanes[lane].unknown_deadline == shortened(default.lanes[lane].unknown_deadline)
        assert scaled.lanes[lane].on_unknown == default.lanes[lane].on_unknown


def test_the_provider_is_slow_within_its_deadline_and_late_before_anybody_gives_up(scaled: Config) -> None:
    assert TIMES.seconds(SLOW) < scaled.provider.total_timeout.total_seconds()
    assert TIMES.seconds(LATE_ACCEPT) < scaled.checks.late_accept.total_seconds()
    assert scaled.lanes[Lane.BULK].unknown_deadline == timedelta(seconds=TIMES.whole_seconds(HOLD_DEADLINE))
