"""Messages over which the broker or our AMQP client closes a connection."""

from collections.abc import Callable

from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.api import email
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.store import StoreDatabase
from tests.harness.system import System

PUBLISHING = r"postroom consumers .* \(publishing\)"
LANES = r"postroom consumers .* \(consuming\)"
"""The names of the connections over which consumers publish, and get the emails to send."""


class NotUtf8(str):
    """A short string whose bytes on the wire are no UTF-8; AMQP doesn't ask for any."""

    def __str__(self) -> str:
        return self

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("latin-1", errors)


def test_a_message_that_breaks_the_connection_harms_its_own_queue_only_and_is_set_aside(
    start_system: Callable[..., System], vhost: VirtualHost, service: AmqpClient
) -> None:
    system = start_system()
    before = wait_until(
        lambda: vhost.connections(LANES), within=30, what="the consumers' connection is shown"
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
    assert vhost.connections(LANES) == before
    answer = service.call("email.ingest", "bulk.shop", good, within=60)
    system.api.wait_for_status(answer["request_id"], "sent")


def test_an_address_for_direct_replies_that_nobody_was_given_costs_replies_at_most(
    start_system: Callable[..., System], vhost: VirtualHost, database: StoreDatabase, service: AmqpClient
) -> None:
    start_system()
    before = wait_until(lambda: vhost.connections(PUBLISHING), within=30, what="our connection is listed")
    for token in ("AAAA.AAAA", "g1h3.AAAA", "!!!.x"):
        made_up = f"amq.rabbitmq.reply-to.{token}"
        message = Outgoing(body=email(message="made up"), user_id=vhost.service, reply_to=made_up)
        service.publish("email.ingest", "bulk.shop", [message])

    def is_answered() -> bool:
        try:
            service.call("email.ingest", "bulk.shop", Outgoing(body=email(), user_id=vhost.service), within=5)
        except TimeoutError:  # the connection for replies is being made again
            return False
        return True

    wait_until(is_answered, within=60, what="a service is answered again")
    assert database["emails"].count_documents({"content.message": "made up"}) == 2
    assert vhost.depth("email.rejected") == 1  # of the third it can be seen that it was made up
    assert vhost.connections(PUBLISHING) == before
