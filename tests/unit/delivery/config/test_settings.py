"""What can be set, in the file and in the environment."""

from datetime import timedelta

import pytest

from delivery.config import parse_duration
from delivery.domain.lanes import Lane, OnUnknown
from delivery.domain.questions import CheckPolicy
from tests.unit.delivery.config.conftest import Load


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


def test_what_is_printed_of_a_configuration_has_no_secret(load: Load) -> None:
    config = load(
        AMQP_URL="amqp://u:hidden-amqp@broker/",
        MONGODB_URI="mongodb://u:hidden-mongodb@store/mail",
        PROVIDER_URL="https://u:hidden-provider@provider.example",
        WEBHOOK_SECRETS="hidden-webhook",
        WEBHOOK_PATH_TOKENS="hidden-path",
        API_KEYS="hidden-key",
        RECIPIENT_HASH_KEY="hidden-hash",
    )
    assert "hidden" not in repr(config)
    assert "max_body_bytes" in repr(config)


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
