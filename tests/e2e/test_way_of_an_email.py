"""The way of one email through real processes, from POST /send to its end."""

from collections.abc import Callable

import pytest

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
