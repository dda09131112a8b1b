"""Messages that the broker lost are found by what overtook them, and published again."""

from collections.abc import Callable

from tests.harness.api import email
from tests.harness.broker import BrokerServer, VirtualHost
from tests.harness.counters import counted
from tests.harness.deadline import wait_until
from tests.harness.store import StoreDatabase
from tests.harness.system import System

StartSystem = Callable[..., System]

CONFIG = """
[lanes.transactional]
retry = ["1s", "1s"]
[lanes.bulk]
retry = ["1s", "1s"]
[loops]
lost_margin = "2s"
reconcile_interval = "1s"
relay_grace = "2s"
"""


def test_a_lane_that_was_purged_by_mistake_is_filled_again(
    start_system: StartSystem, vhost: VirtualHost
) -> None:
    system = start_system(config=CONFIG)
    system.consumers[0].stop(within=30)
    request_ids = system.api.send_many([email()] * 30 + [email(lane="critical", priority=3)] * 10)
    for lane, count in (("transactional", 30), ("critical", 10)):
        _wait_for_depth(vhost, f"email.{lane}", count)
        vhost.amqp.purge(f"email.{lane}")

    system.start()

    # Nothing else is sent: it takes a probe to tell that the lanes are empty.
    system.api.wait_for_all(request_ids, "sent", within=90)
    system.provider.assert_accepted_once(request_ids)
    assert counted(system, "lost_messages") >= len(request_ids)


def test_a_broker_that_lost_all_its_data_costs_no_email(
    start_system: StartSystem, own_broker: Callable[[], BrokerServer]
) -> None:
    broker = own_broker()
    with broker.vhost() as vhost:
        system = start_system(config=CONFIG, amqp_url=vhost.url)
        system.provider.go_down(mode="503")
        request_ids = system.api.send_many(
            [email(lane=lane) for lane in ("critical", "transactional", "bulk")] * 10
        )
        system.consumers[0].stop(within=30)
        more = system.api.send_many([email()] * 20)

        broker.stop()
        broker.wipe()
        broker.start_again()
        vhost.create()
        system.provider.come_up()
        system.start()

        system.api.wait_for_all([*request_ids, *more], "sent", within=120)
        system.provider.assert_accepted_once([*request_ids, *more])


def test_emails_are_not_published_again_because_they_wait(
    start_system: StartSystem, vhost: VirtualHost, database: StoreDatabase
) -> None:
    config = CONFIG + "[provider]\nmax_in_flight = 2\n[slots]\nreserved = 1\n"
    system = start_system(config=config)
    system.provider.set_faults(latency=0.2)
    request_ids = system.api.send_many([email()] * 60)  # twelve seconds of work, six times the margin
    system.api.wait_for_all(request_ids, "sent", within=90)

    republished = database["emails"].count_documents({"republished": {"$exists": True}})
    print(f"{len(request_ids)} emails waited up to 12 s, {republished} were published again")
    assert republished == 0
    system.provider.assert_accepted_once(request_ids)


def _wait_for_depth(vhost: VirtualHost, queue: str, count: int) -> None:
    wait_until(lambda: vhost.depth(queue) == count, within=30, what=f"{count} messages are in {queue}")
