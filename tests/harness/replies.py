"""A service's queue for the replies to what it published to `email.ingest`."""

import json
import uuid
from typing import Any

from tests.harness.amqp import AmqpClient
from tests.harness.deadline import wait_until
from topology.names import reply_queue_prefix


class Replies:
    """`queue` is what the service names in `reply_to`; it goes with the client's connection."""

    def __init__(self, client: AmqpClient, *, user: str) -> None:
        self.queue = f"{reply_queue_prefix(user)}{uuid.uuid4().hex[:8]}"
        self._client = client
        client.declare_queue(self.queue)

    def take(self, count: int, *, within: float = 30.0) -> dict[str, dict[str, Any]]:
        """Wait for so many replies; returns them by correlation_id."""
        taken: dict[str, dict[str, Any]] = {}

        def all_are_here() -> bool:
            while (message := self._client.take(self.queue)) is not None:
                taken[message.correlation_id or ""] = json.loads(message.body)
            assert len(taken) >= count, f"{len(taken)} of {count} replies"
            return True

        wait_until(all_are_here, within=within, what=f"{count} replies have come")
        return taken
