import pytest

from topology import names


def test_a_lane_has_a_queue_under_email() -> None:
    assert [names.lane_queue(lane) for lane in names.LANES] == [
        "email.critical",
        "email.transactional",
        "email.standard",
        "email.bulk",
    ]


@pytest.mark.parametrize(
    ("queue", "key"),
    [
        ("email.bulk.acme", "bulk.acme"),
        ("email.critical.0-a", "critical.0-a"),
        ("email.bulk", None),
        ("email.ingest.critical", None),
        ("email.bulk.", None),
        ("email.bulk.a.b", None),
        ("email.slow.acme", None),
        ("bulk.acme", None),
    ],
)
def test_a_tenants_queue_is_known_by_its_name(queue: str, key: str | None) -> None:
    assert names.tenant_lane_key(queue) == key
    assert key is None or names.lane_queue(key) == queue


def test_a_delay_step_names_its_exchange_and_its_queue() -> None:
    assert names.delay_exchange("15m") == names.delay_queue("15m") == "delay.15m"


def test_a_users_reply_queues_begin_with_its_name() -> None:
    assert names.reply_queue_prefix("shop") == "reply.shop."
