"""A message that our AMQP client can't read: it loses the connection over which it gets one."""

from collections.abc import Callable

from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.api import email
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.system import System


class NotUtf8(str):
    """A short string whose bytes on the wire are no UTF-8; AMQP doesn't ask for any."""

    def __str__(self) -> str:
        return self

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("latin-1", errors)


def lanes_connections(vhost: VirtualHost) -> set[str]:
    """The connections over which consumers get emails to send, by their ports."""
    connections = vhost.server.management.request("GET", "vhosts", vhost.name, "connections")
    return {
        each["name"] for each in connections if each.get("user_provided_name", "").endswith("(consuming)")
    }


def test_a_message_that_breaks_the_connection_harms_its_own_queue_only_and_is_set_aside(
    start_system: Callable[..., System], vhost: VirtualHost, service: AmqpClient
) -> None:
    system = start_system()
    before = wait_until(
        lambda: lanes_connections(vhost), within=30, what="the consumers' connection is shown"
    )
    good = Outgoing(body=email(), user_id=vhost.service)
    bad = Outgoing(body=email(), user_id=vhost.service, correlation_id=NotUtf8("\xff\xfe"))

    service.publish("email.ingest", "bulk.shop", [bad])
    service.publish("email.ingest", NotUtf8("bulk.\xff"), [good])
    for _ in range(5):
        system.api.wait_for_status(system.api.send(lane="critical"), "sent")
        answer = service.call("email.ingest", "critical.shop", good, within=30)
        system.api.wait_for_status(answer["request_id"], "sent")

    wait_until(lambda: vhost.depth("email.rejected") == 2, within=180, what="both are in email.rejected")
    assert lanes_connections(vhost) == before
    answer = service.call("email.ingest", "bulk.shop", good, within=60)
    system.api.wait_for_status(answer["request_id"], "sent")
