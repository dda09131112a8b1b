"""What holds without any setting."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from delivery.config import api_processes_for, load_config, usable_cores
from delivery.domain.lanes import Lane, OnUnknown
from tests.unit.delivery.config.conftest import Load


def test_without_any_setting_the_defaults_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config({})
    assert config.amqp_url == "amqp://guest:guest@127.0.0.1:5672/"
    assert config.mongodb_uri == "mongodb://127.0.0.1:27017/postroom"
    assert config.provider.url == "http://127.0.0.1:8081"
    assert (config.api.host, config.api.port, config.api.keys) == ("127.0.0.1", 8080, ())
    assert config.api.max_body_bytes == 1024 * 1024
    assert config.consumers_health_port is None


def test_the_providers_default_deadlines_are_those_of_its_contract(load: Load) -> None:
    provider = load().provider
    assert (provider.connect_timeout, provider.total_timeout) == (timedelta(seconds=2), timedelta(seconds=15))


def test_every_lane_has_a_default_schedule_whose_waits_are_delay_steps(load: Load) -> None:
    config = load()
    lengths = {step.length for step in config.delay_steps}
    for lane in Lane:
        assert config.lanes[lane].retry_schedule
        assert set(config.lanes[lane].retry_schedule) <= lengths


def test_every_default_schedule_ends_within_its_lanes_max_wait(load: Load) -> None:
    for policy in load().lanes.values():
        assert sum(policy.retry_schedule, timedelta(0)) < policy.max_wait


def test_critical_resends_soon_and_the_others_hold_late(load: Load) -> None:
    lanes = load().lanes
    assert {lane: (policy.on_unknown, policy.unknown_deadline) for lane, policy in lanes.items()} == {
        Lane.CRITICAL: (OnUnknown.RESEND, timedelta(seconds=30)),
        Lane.TRANSACTIONAL: (OnUnknown.HOLD, timedelta(minutes=45)),
        Lane.STANDARD: (OnUnknown.HOLD, timedelta(minutes=45)),
        Lane.BULK: (OnUnknown.HOLD, timedelta(minutes=45)),
    }


def test_by_default_an_email_is_last_asked_about_before_its_lane_holds_it(load: Load) -> None:
    config = load()
    assert config.checks.offsets[-1] < config.lanes[Lane.BULK].unknown_deadline
    assert any(offset > config.checks.late_accept for offset in config.checks.offsets)
    assert config.checks.report_overdue == timedelta(minutes=30)


def test_postroom_toml_in_the_working_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("postroom.toml").write_text(
        "[provider]\nmax_in_flight = 7\n[slots]\nreserved = 1\n", encoding="utf-8"
    )
    assert load_config({}).provider.max_in_flight == 7


@pytest.mark.parametrize(("at_once", "reserved"), [(1, 0), (2, 1), (7, 1), (16, 2), (64, 8), (100, 12)])
def test_by_default_an_eighth_of_the_calls_is_for_critical_alone(
    load: Load, at_once: int, reserved: int
) -> None:
    assert load(f"[provider]\nmax_in_flight = {at_once}").reserved_slots == reserved


def test_a_ceiling_below_the_floors_default_lowers_it(load: Load) -> None:
    config = load("[provider]\nmax_in_flight = 2\n[slots]\nreserved = 1")
    assert (config.provider.min_in_flight, config.provider.max_in_flight) == (2, 2)


@pytest.mark.parametrize(
    ("cores", "processes"), [(1, 1), (2, 1), (3, 1), (4, 2), (7, 3), (8, 4), (16, 8), (17, 8), (256, 8)]
)
def test_the_api_has_a_process_for_every_two_cores_within_bounds(cores: int, processes: int) -> None:
    assert api_processes_for(cores) == processes


def test_without_a_word_the_api_has_as_many_processes_as_suit_the_machine(load: Load) -> None:
    assert load().api.workers == load(API_WORKERS="").api.workers == api_processes_for(usable_cores())
    assert load(API_WORKERS="64").api.workers == 64


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process to cores")
def test_cores_that_a_process_may_not_run_on_do_not_count() -> None:
    before = os.sched_getaffinity(0)
    assert usable_cores() == len(before)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
