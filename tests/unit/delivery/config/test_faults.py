"""What is wrong is named, all of it at once."""

from pathlib import Path

import pytest

from delivery.config import load_config
from delivery.config_values import InvalidConfiguration
from tests.unit.delivery.config.conftest import Faults, Load

SECRET = "s3cr3t-s3cr3t"


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
        API_WORKERS="65",
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
        "API_WORKERS",
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
        ("[slots]\nreserved = 64", {}, "slots.reserved"),
        ("[provider]\nmax_in_flight = 4\n[slots]\nreserved = 4", {}, "slots.reserved"),
        ("[provider]\nmin_in_flight = 65", {}, "provider.min_in_flight"),
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
