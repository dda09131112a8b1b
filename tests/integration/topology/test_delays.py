import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.harness.amqp import Outgoing
from tests.harness.broker import BrokerServer, VirtualHost
from tests.harness.deadline import wait_until
from tests.integration.topology.conftest import declare_on, unbind
from tests.integration.topology.waiting import held_back, take
from topology.definition import postroom_topology


@pytest.mark.parametrize("lane", ["critical", "transactional", "standard", "bulk"])
def test_a_delayed_message_comes_back_to_its_lane_as_it_was(declared: VirtualHost, lane: str) -> None:
    declared.amqp.publish(
        "delay.1s", lane, [Outgoing(body={"id": "1", "gen": 2}, message_id="m", priority=4, headers={"a": 1})]
    )
    assert declared.depth(f"email.{lane}") == 0
    message = take(declared.amqp, f"email.{lane}")
    assert (message.body, message.message_id, message.priority) == (b'{"id": "1", "gen": 2}', "m", 4)
    assert message.headers["a"] == 1
    assert message.headers["x-first-death-queue"] == "delay.1s"
    assert message.headers["x-first-death-reason"] == "expired"


def test_a_short_delay_waits_behind_no_long_one(declared: VirtualHost) -> None:
    declared.amqp.publish("delay.6h", "bulk", [Outgoing(body=b"long", priority=0)])
    declared.amqp.publish("delay.1s", "bulk", [Outgoing(body=b"short", priority=0)])
    assert take(declared.amqp, "email.bulk").body == b"short"


def test_a_message_whose_lane_is_gone_is_kept(declared: VirtualHost) -> None:
    unbind(declared, queue="email.bulk", exchange="email.due", routing_key="bulk")
    declared.amqp.publish("delay.1s", "bulk", [Outgoing(body=b"homeless")])
    assert take(declared.amqp, "unrouted").body == b"homeless"


def test_a_message_waits_as_long_as_even_unrouted_is_gone(declared: VirtualHost) -> None:
    unbind(declared, queue="email.bulk", exchange="email.due", routing_key="bulk")
    unbind(declared, queue="unrouted", exchange="unrouted", routing_key="")
    declared.amqp.publish("delay.1s", "bulk", [Outgoing(body=b"homeless")])
    held_back(declared, "delay.1s")


def test_nothing_is_lost_when_the_wait_ends_while_the_broker_is_down(
    own_broker: Callable[[], BrokerServer],
) -> None:
    """With a classic delay queue, 3.10 loses all that goes to a quorum queue, even in a graceful restart."""
    server = own_broker()
    targets = {"bulk": "email.bulk", "no lane": "unrouted"}
    with server.vhost() as vhost:
        declare_on(vhost, postroom_topology())
        published_at = time.monotonic()
        for routing_key in targets:
            for priority in range(5):
                batch = [Outgoing(body={"gen": 1}, priority=priority) for _ in range(20)]
                vhost.amqp.publish("delay.15s", routing_key, batch)

        server.stop()
        wait_until(
            lambda: time.monotonic() > published_at + 16, within=60, what="the 15 s have passed meanwhile"
        )
        server.start_again()

        for queue in targets.values():
            came = Counter(take(vhost.amqp, queue, within=60).priority for _ in range(100))
            assert came == dict.fromkeys(range(5), 20)
