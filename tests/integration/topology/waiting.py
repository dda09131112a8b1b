"""Taking messages that are still on their way."""

from aio_pika.abc import AbstractIncomingMessage

from tests.harness.amqp import AmqpClient
from tests.harness.deadline import wait_until

WITHIN = 30.0
"""Seconds until a test gives up on what should have come."""


def take(client: AmqpClient, queue: str, *, within: float = WITHIN) -> AbstractIncomingMessage:
    """The next message in the queue, for good."""
    message = wait_until(lambda: client.take(queue), within=within, what=f"a message is in {queue}")
    assert message is not None
    return message
