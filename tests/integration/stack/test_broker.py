from collections.abc import Callable

import pytest
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from stack.broker import MAX_MESSAGE_BYTES
from tests.harness.amqp import Outgoing
from tests.harness.broker import BrokerServer


def test_it_takes_no_message_that_is_larger_than_any_body_may_be(
    own_broker: Callable[[], BrokerServer],
) -> None:
    with own_broker().vhost() as vhost:
        vhost.server.management.request("PUT", "queues", vhost.name, "bodies", json={"durable": True})
        vhost.amqp.publish("", "bodies", [Outgoing(body=bytes(MAX_MESSAGE_BYTES))])
        with pytest.raises((AMQPError, ChannelInvalidStateError)):
            vhost.amqp.publish("", "bodies", [Outgoing(body=bytes(MAX_MESSAGE_BYTES + 1))])
        assert vhost.depth("bodies") == 1
