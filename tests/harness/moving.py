"""What "Move messages" of the management UI does."""

from typing import Any
from urllib.parse import quote

from stack.management import Management
from tests.harness.deadline import wait_until


def move_messages(
    operator: Management,
    *,
    vhost: str,
    source: str,
    destination: str,
    count: int | None = None,
    within: float = 60.0,
) -> None:
    """Make a shovel that moves what is in the queue now (or the first `count`) and then deletes itself.

    `operator` has an operator's login, no more. Returns when the shovel is gone.
    """
    shovel = f"Move from {source}"
    uri = f"amqp:///{quote(vhost, safe='')}"
    value = {
        "src-protocol": "amqp091",
        "src-uri": uri,
        "src-queue": source,
        "src-prefetch-count": 1000,
        "src-delete-after": count or "queue-length",
        "dest-protocol": "amqp091",
        "dest-uri": uri,
        "dest-queue": destination,
        "dest-add-forward-headers": False,
        "ack-mode": "on-confirm",
    }
    body = {"component": "shovel", "vhost": vhost, "name": shovel, "value": value}
    operator.request("PUT", "parameters", "shovel", vhost, shovel, json=body)

    def is_done() -> bool:
        shovels: list[Any] = operator.request("GET", "parameters", "shovel", vhost)
        return not shovels

    wait_until(is_done, within=within, what=f"the shovel from {source} to {destination} is done")
