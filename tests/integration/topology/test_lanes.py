import pytest

from tests.harness.amqp import Outgoing
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value
from tests.integration.topology.waiting import WITHIN, take


@pytest.mark.parametrize("lane", ["critical", "transactional", "standard", "bulk"])
def test_a_lane_gives_out_by_priority_and_then_by_age(declared: VirtualHost, lane: str) -> None:
    for number, priority in enumerate((0, 3, 1, 3, 2, 0)):
        declared.amqp.publish("email", lane, [Outgoing(body=str(number).encode(), priority=priority)])
    assert b"".join(take(declared.amqp, f"email.{lane}").body for _ in range(6)) == b"134205"


def test_a_retry_gets_ahead_of_the_most_urgent_fresh_mail(declared: VirtualHost) -> None:
    declared.amqp.publish("email", "bulk", [Outgoing(body=b"fresh", priority=3)] * 3)
    declared.amqp.publish("delay.1s", "bulk", [Outgoing(body=b"retry", priority=4)])
    wait_for_value(
        lambda: declared.depth("email.bulk"), 4, within=WITHIN, what="the retry is back in its lane"
    )
    assert [take(declared.amqp, "email.bulk").body for _ in range(4)] == [
        b"retry",
        b"fresh",
        b"fresh",
        b"fresh",
    ]
