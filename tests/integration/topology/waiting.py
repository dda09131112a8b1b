"""Taking messages that are still on their way."""

from aio_pika.abc import AbstractIncomingMessage

from tests.harness.amqp import AmqpClient
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value, wait_until

WITHIN = 30.0
"""Seconds until a test gives up on what should have come."""


def take(client: AmqpClient, queue: str, *, within: float = WITHIN) -> AbstractIncomingMessage:
    """The next message in the queue, for good."""
    message = wait_until(lambda: client.take(queue), within=within, what=f"a message is in {queue}")
    assert message is not None
    return message


def held_back(vhost: VirtualHost, queue: str) -> None:
    """Wait until the queue keeps its one message for a dead-letter target: there, but with nobody.

    Dropped, the message would go from ready to nothing; this state exists with at-least-once only.
    """
    expected: dict[str, object] = {"messages": 1, "messages_ready": 0, "messages_unacknowledged": 0}

    def figures() -> dict[str, object]:
        described = vhost.queues()[queue]
        return {name: described.get(name) for name in expected}

    wait_for_value(figures, expected, within=WITHIN, what=f"{queue} holds back its message")
