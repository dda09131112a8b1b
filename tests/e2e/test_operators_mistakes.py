"""What somebody deletes on the broker by mistake comes back, and costs no email."""

from collections.abc import Callable

from tests.harness.broker import VirtualHost
from tests.harness.system import System

StartSystem = Callable[..., System]

CONFIG = """
[lanes.critical]
retry = ["1s", "1s", "1s"]
[loops]
relay_grace = "1s"
lost_margin = "2s"
reconcile_interval = "1s"
"""


def test_a_lane_and_a_delay_that_were_deleted_come_back(
    start_system: StartSystem, vhost: VirtualHost
) -> None:
    system = start_system(config=CONFIG)
    for queue in ("email.critical", "delay.1s"):
        vhost.server.management.request("DELETE", "queues", vhost.name, queue)

    fresh = system.api.send(lane="critical")
    retried = system.api.send(lane="critical", recipient="fault+error.1@example.com")

    system.api.wait_for_all([fresh, retried], "sent", within=90)
    system.provider.assert_accepted_once([fresh, retried])
