from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from delivery.config import load_config, parse_duration
from delivery.config_values import Config, InvalidConfiguration
from delivery.domain.lanes import Lane, OnUnknown
from delivery.domain.questions import CheckPolicy

Load = Callable[..., Config]
SECRET = "s3cr3t-s3cr3t"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads this content of postroom.toml with these variables."""

    def load(file: str = "", **environ: str) -> Config:
        path = tmp_path / "postroom.toml"
        path.write_text(file, encoding="utf-8")
        return load_config({"POSTROOM_CONFIG": str(path), **environ})

    return load


@pytest.fixture
def faults(load: Load) -> Callable[..., list[str]]:
    def faults(file: str = "", **environ: str) -> list[str]:
        with pytest.raises(InvalidConfiguration) as invalid:
            load(file, **environ)
        return str(invalid.value).split("; ")

    return faults


Faults = Callable[..., list[str]]


# Defaults


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


def test_a_ceiling_below_the_floors_default_lowers_it(load: Load) -> None:
    config = load("[provider]\nmax_in_flight = 2\n[slots]\nreserved = 1")
    assert (config.provider.min_in_flight, config.provider.max_in_flight) == (2, 2)


# What can be set


def test_every_setting_of_the_file_is_used(load: Load) -> None:
    config = load(
        """
        [api]
        max_body_bytes = 2048
        [provider]
        name = "other"
        connect_timeout = "250ms"
        total_timeout = "3s"
        min_in_flight = 3
        max_in_flight = 8
        extra_fields = ["subject"]
        reports_deliveries = false
        [slots]
        reserved = 2
        [lanes.bulk]
        retry = ["2s", "90s"]
        max_wait = "2d"
        weight = 5
        on_unknown = "resend"
        unknown_deadline = "3m"
        [checks]
        offsets = ["10m", "2s", "1m"]
        late_accept = "1500ms"
        report_overdue = "1h"
        calls_per_minute = 7
        [checks.lane_offsets]
        critical = ["20s", "10s"]
        bulk = []
        [claims]
        lease = "10s"
        margin = "1s"
        [loops]
        relay_interval = "1.5s"
        relay_grace = "2m"
        reconcile_interval = "1h"
        check_interval = "20s"
        """
    )
    assert config.api.max_body_bytes == 2048
    assert config.provider.name == "other"
    assert config.provider.connect_timeout == timedelta(milliseconds=250)
    assert config.provider.total_timeout == timedelta(seconds=3)
    assert (config.provider.min_in_flight, config.provider.max_in_flight) == (3, 8)
    assert config.reserved_slots == 2
    assert config.provider.extra_fields == {"subject"}
    assert not config.provider.reports_deliveries
    bulk = config.lanes[Lane.BULK]
    assert bulk.retry_schedule == (timedelta(seconds=2), timedelta(seconds=90))
    assert (bulk.max_wait, bulk.weight) == (timedelta(days=2), 5)
    assert (bulk.on_unknown, bulk.unknown_deadline) == (OnUnknown.RESEND, timedelta(minutes=3))
    assert config.checks == CheckPolicy(
        offsets=(timedelta(seconds=2), timedelta(minutes=1), timedelta(minutes=10)),
        late_accept=timedelta(seconds=1.5),
        report_overdue=None,  # this provider reports no deliveries
        calls_per_minute=7,
        lane_offsets={Lane.CRITICAL: (timedelta(seconds=10), timedelta(seconds=20)), Lane.BULK: ()},
    )
    assert (config.claims.lease, config.claims.margin) == (timedelta(seconds=10), timedelta(seconds=1))
    assert config.loops.relay_interval == timedelta(seconds=1.5)
    assert config.loops.relay_grace == timedelta(minutes=2)
    assert config.loops.reconcile_interval == timedelta(hours=1)
    assert config.loops.check_interval == timedelta(seconds=20)


def test_every_variable_is_used(load: Load) -> None:
    config = load(
        AMQP_URL="amqps://u:p@broker:5671/mail",
        MONGODB_URI="mongodb://a:1,b:2/mail?replicaSet=rs",
        PROVIDER_URL="https://provider.example/base/",
        WEBHOOK_SECRETS="new, old,,",
        WEBHOOK_PATH_TOKENS="t1,t2",
        API_KEYS="k1,k2",
        API_HOST="0.0.0.0",
        API_PORT="9000",
        API_WORKERS="3",
        API_THREADS="8",
        CONSUMERS_HEALTH_PORT="9001",
        CONSUMERS_GRACE_SECONDS="5",
        RECIPIENT_HASH_KEY="key",
        SOMETHING_ELSE="ignored",
    )
    assert config.amqp_url == "amqps://u:p@broker:5671/mail"
    assert config.mongodb_uri == "mongodb://a:1,b:2/mail?replicaSet=rs"
    assert config.provider.url == "https://provider.example/base"
    assert config.provider.webhook_secrets == ("new", "old")
    assert config.provider.webhook_path_tokens == ("t1", "t2")
    assert config.api.keys == ("k1", "k2")
    assert (config.api.host, config.api.port, config.api.workers, config.api.threads) == (
        "0.0.0.0",
        9000,
        3,
        8,
    )
    assert (config.consumers_health_port, config.consumers_grace) == (9001, timedelta(seconds=5))
    assert config.recipient_hash_key == b"key"


def test_an_empty_variable_is_as_good_as_none(load: Load) -> None:
    assert load(API_PORT="", CONSUMERS_HEALTH_PORT="", API_KEYS="").api.port == 8080


@pytest.mark.parametrize(("given", "port"), [("", None), ("0", None), ("9001", 9001)])
def test_the_consumers_health_port_may_be_left_out(load: Load, given: str, port: int | None) -> None:
    assert load(CONSUMERS_HEALTH_PORT=given).consumers_health_port == port


def test_the_environment_says_what_the_provider_takes_before_the_file_does(load: Load) -> None:
    file = '[provider]\nextra_fields = ["subject"]'
    assert load(file).provider.extra_fields == {"subject"}
    assert load(file, PROVIDER_EXTRA_FIELDS="").provider.extra_fields == {"subject"}
    assert load(file, PROVIDER_EXTRA_FIELDS="html, cc").provider.extra_fields == {"html", "cc"}


def test_however_a_wait_is_written_it_has_one_delay(load: Load) -> None:
    written_once = load('[lanes.bulk]\nretry = ["2m"]').delay_steps
    written_otherwise = load('[lanes.bulk]\nretry = ["120s"]').delay_steps
    assert written_once == written_otherwise
    assert "2m" in [step.name for step in written_once]


def test_a_schedules_steps_become_delays_and_the_usual_ones_stay(load: Load) -> None:
    steps = [step.name for step in load('[lanes.critical]\nretry = ["2s", "60s"]').delay_steps]
    assert steps[:3] == ["1s", "2s", "5s"]
    assert "60s" not in steps  # it is 1m by another name
    assert "1m" in steps


@pytest.mark.parametrize(
    ("text", "length"),
    [("250ms", 0.25), ("5s", 5), ("1.5m", 90), ("6h", 21600), ("2d", 172800)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, length: float) -> None:
    assert parse_duration(text) == timedelta(seconds=length)


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s", "5sec", "1w", "5s5s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


# Faults


def test_every_fault_is_reported_at_once_and_by_name(faults: Faults) -> None:
    found = faults(
        """
        unknown = 1
        slots = 4
        [api]
        max_body_bytes = 1
        [provider]
        connect_timeout = 2
        total_timeout = "long"
        extra_fields = ["fax"]
        reports_deliveries = "yes"
        name = ""
        [lanes.bulk]
        retry = ["1s", "often"]
        weight = 0
        [lanes.critical]
        retry = "1s"
        max_wait = true
        [lanes.urgent]
        weight = 1
        [loops]
        relay_intervall = "1s"
        """,
        AMQP_URL="http://broker",
        MONGODB_URI="mongodb://",
        PROVIDER_URL="provider:8081",
        API_PORT="80800",
        API_THREADS="many",
        CONSUMERS_HEALTH_PORT="-1",
    )
    named = {fault.split(": ")[0] for fault in found}
    assert named == {
        "unknown",
        "slots",
        "api.max_body_bytes",
        "provider.connect_timeout",
        "provider.total_timeout",
        "provider.extra_fields",
        "provider.reports_deliveries",
        "provider.name",
        "lanes.bulk.retry",
        "lanes.bulk.weight",
        "lanes.critical.retry",
        "lanes.critical.max_wait",
        "lanes.urgent",
        "loops.relay_intervall",
        "AMQP_URL",
        "MONGODB_URI",
        "PROVIDER_URL",
        "API_PORT",
        "API_THREADS",
        "CONSUMERS_HEALTH_PORT",
    }
    assert len(found) == len(named)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("[provder]\nname='x'", "provder"),
        ("[provider]\nmax_inflight = 3", "provider.max_inflight"),
        ("[lanes.bulk]\nretries = []", "lanes.bulk.retries"),
        ("[lanes.transaktional]", "lanes.transaktional"),
        ("[slots]\nreserve = 1", "slots.reserve"),
        ("reserved = 1", "reserved"),
    ],
)
def test_a_misspelt_setting_is_a_fault(faults: Faults, file: str, name: str) -> None:
    assert faults(file) == [f"{name}: is not a setting"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("[lanes.bulk]\non_unknown = 'retry'", "lanes.bulk.on_unknown"),
        ("[lanes.bulk]\nunknown_deadline = 45", "lanes.bulk.unknown_deadline"),
        ("[checks]\noffsets = ['1m', 'soon']", "checks.offsets"),
        ("[checks.lane_offsets]\nbulk = ['soon']", "checks.lane_offsets.bulk"),
        ("[checks.lane_offsets]\nurgent = ['1m']", "checks.lane_offsets.urgent"),
        ("[checks]\nlate_accept = ''", "checks.late_accept"),
        ("[checks]\nreport_overdue = false", "checks.report_overdue"),
        ("[checks]\ncalls_per_minute = 0", "checks.calls_per_minute"),
        ("[loops]\ncheck_interval = 1", "loops.check_interval"),
    ],
)
def test_a_setting_of_the_checks_that_is_wrong_is_named(faults: Faults, file: str, name: str) -> None:
    assert [fault.split(": ")[0] for fault in faults(file)] == [name]


@pytest.mark.parametrize(
    ("file", "environ", "name"),
    [
        ("[slots]\nreserved = 32", {}, "slots.reserved"),
        ("[provider]\nmax_in_flight = 4", {}, "slots.reserved"),
        ("[provider]\nmin_in_flight = 33", {}, "provider.min_in_flight"),
        ("[provider]\nmin_in_flight = 1", {}, "provider.min_in_flight"),
        ("[claims]\nlease = '17s'", {}, "claims.lease"),
        ("[provider]\ntotal_timeout = '1s'", {}, "provider.connect_timeout"),
    ],
)
def test_settings_that_contradict_each_other_are_faults(
    faults: Faults, file: str, environ: dict[str, str], name: str
) -> None:
    assert [fault.split(": ")[0] for fault in faults(file, **environ)] == [name]


@pytest.mark.parametrize("place", ["", ":5672", "broker:99999", "broker:0", "broker:port", "[::1"])
def test_a_url_has_a_host_and_a_port_that_can_be(faults: Faults, place: str) -> None:
    assert faults(AMQP_URL=f"amqp://{place}/") == [
        "AMQP_URL: must be a URL that begins with amqp:// or amqps://"
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_these_addresses_are_for_this_machine(load: Load, host: str) -> None:
    assert load(API_HOST=host).api.is_for_this_machine


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "mail.internal", "localhost.example.com"])
def test_these_addresses_are_for_others_too(load: Load, host: str) -> None:
    assert not load(API_HOST=host).api.is_for_this_machine


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"POSTROOM_CONFIG.*can't be read"):
        load_config({"POSTROOM_CONFIG": str(tmp_path / "missing.toml")})


@pytest.mark.parametrize("content", [b"[provider", b"name = ", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_a_fault(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "postroom.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidConfiguration, match=r"postroom\.toml"):
        load_config({"POSTROOM_CONFIG": str(path)})


@pytest.mark.parametrize(
    "url",
    [f"amqp//u:{SECRET}@broker", f"amqp://u:{SECRET}@[broker", f"http://u:{SECRET}@broker", f"{SECRET}"],
)
@pytest.mark.parametrize("name", ["AMQP_URL", "MONGODB_URI", "PROVIDER_URL"])
def test_no_secret_is_in_the_text_of_a_fault(faults: Faults, name: str, url: str) -> None:
    found = faults(
        "[provider]\nconnect_timeout = 1",
        **{
            "API_KEYS": SECRET,
            "WEBHOOK_SECRETS": SECRET,
            "WEBHOOK_PATH_TOKENS": SECRET,
            "RECIPIENT_HASH_KEY": SECRET,
            "API_PORT": SECRET,
            name: url,
        },
    )
    assert "API_PORT" in {fault.split(": ")[0] for fault in found}
    assert not [fault for fault in found if SECRET in fault]
