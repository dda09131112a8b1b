from topology import names


def test_a_lane_has_a_queue_under_email() -> None:
    assert [names.lane_queue(lane) for lane in names.LANES] == [
        "email.critical",
        "email.transactional",
        "email.standard",
        "email.bulk",
    ]


def test_a_delay_step_names_its_exchange_and_its_queue() -> None:
    assert names.delay_exchange("15m") == names.delay_queue("15m") == "delay.15m"


def test_a_users_reply_queues_begin_with_its_name() -> None:
    assert names.reply_queue_prefix("shop") == "reply.shop."
