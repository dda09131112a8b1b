"""The way of one email through real processes, from POST /send to its end."""

import json
from collections.abc import Callable

import pytest

from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.system import System

StartSystem = Callable[..., System]


def test_an_accepted_email_is_submitted_and_reported_delivered(start_system: StartSystem) -> None:
    system = start_system()
    request_id = system.api.send(recipient="ann@example.com")
    status = system.api.wait_for_status(request_id, "sent")
    assert status["detail"] == "delivered"
    system.provider.assert_accepted_once([request_id])


@pytest.mark.parametrize("lane", ["critical", "transactional", "standard", "bulk"])
def test_every_lane_delivers(start_system: StartSystem, lane: str) -> None:
    system = start_system()
    request_id = system.api.send(lane=lane)
    system.api.wait_for_status(request_id, "sent")


def test_services_that_subscribe_hear_what_happened(start_system: StartSystem, vhost: VirtualHost) -> None:
    system = start_system()
    vhost.amqp.declare_queue("listener")
    vhost.amqp.bind("listener", "email.events", "default.critical.#")
    request_id = system.api.send(lane="critical")
    system.api.wait_for_status(request_id, "sent")

    heard: dict[str | None, bytes] = {}

    def is_told() -> bool:
        while (message := vhost.amqp.take("listener")) is not None:
            heard[message.routing_key] = message.body
        return "default.critical.delivered" in heard

    wait_until(is_told, within=60, what="its delivery was told")
    # Where the report is applied before the answer is written, only the report is told.
    assert heard.keys() <= {"default.critical.submitted", "default.critical.delivered"}
    event = json.loads(heard["default.critical.delivered"])
    assert event.pop("at")
    assert event == {
        "event": "delivered",
        "email_id": request_id,
        "tenant_id": "default",
        "lane": "critical",
    }
