import pytest
from aio_pika.exceptions import PublishError

from tests.harness.amqp import Outgoing
from tests.harness.broker import VirtualHost
from tests.integration.topology.waiting import take


def test_a_private_publish_reaches_its_queue(declared: VirtualHost) -> None:
    for routing_key, queue in (
        ("critical", "email.critical"),
        ("transactional", "email.transactional"),
        ("standard", "email.standard"),
        ("bulk", "email.bulk"),
        ("dead", "email.dead"),
        ("held", "email.held"),
        ("rejected", "email.rejected"),
        ("provider_event", "provider_event"),
    ):
        declared.amqp.publish("email", routing_key, [Outgoing(body=b"for " + routing_key.encode())])
        assert take(declared.amqp, queue).body == b"for " + routing_key.encode()


def test_a_private_publish_without_a_queue_is_an_error(declared: VirtualHost) -> None:
    with pytest.raises(PublishError, match="NO_ROUTE"):
        declared.amqp.publish("email", "no-such-lane", [Outgoing(body={"id": "1", "gen": 1})])


def test_a_services_publish_is_ingested_by_its_lane(declared: VirtualHost) -> None:
    for routing_key, queue in (
        ("critical.shop", "email.ingest.critical"),
        ("critical", "email.ingest.critical"),
        ("transactional.shop", "email.ingest"),
        ("standard.shop.eu", "email.ingest"),
        ("bulk.shop", "email.ingest"),
    ):
        declared.amqp.publish("email.ingest", routing_key, [Outgoing(body=routing_key.encode())])
        assert take(declared.amqp, queue).body == routing_key.encode()


@pytest.mark.parametrize("routing_key", ["urgent.shop", "criticals.shop", "shop.critical", "Bulk.shop", ""])
def test_a_services_publish_with_an_unknown_lane_is_kept_in_unrouted(
    declared: VirtualHost, routing_key: str
) -> None:
    declared.amqp.publish("email.ingest", routing_key, [Outgoing(body=b"the only copy")])
    message = take(declared.amqp, "unrouted")
    assert (message.body, message.routing_key) == (b"the only copy", routing_key)


def test_an_event_reaches_who_subscribed_to_its_kind(declared: VirtualHost) -> None:
    declared.amqp.declare_queue("subscription")
    declared.amqp.bind("subscription", "email.events", "shop.*.delivered")
    declared.amqp.publish("email.events", "shop.bulk.delivered", [Outgoing(body=b"it arrived")])
    assert take(declared.amqp, "subscription").body == b"it arrived"
    with pytest.raises(PublishError, match="NO_ROUTE"):
        declared.amqp.publish("email.events", "bank.bulk.delivered", [Outgoing(body=b"nobody's")])
