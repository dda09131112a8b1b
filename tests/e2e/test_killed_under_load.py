"""SIGKILL under load: of the broker, the store, a consumer process, the API. Nothing accepted is lost."""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from delivery.store.indexes import COLLECTIONS
from tests.harness.api import email
from tests.harness.broker import BrokerServer, VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.load import Load
from tests.harness.owed import assert_nothing_waits_unowed
from tests.harness.store import StoreDatabase, StoreServer
from tests.harness.system import System

StartSystem = Callable[..., System]

EMAILS = 400
KILL_AT = 120
SLOTS = 16

OPTIONS = {
    "config": f"""
[provider]
max_in_flight = {SLOTS}
total_timeout = "5s"
[slots]
reserved = 1
[claims]
lease = "6s"
margin = "200ms"
[loops]
relay_interval = "500ms"
relay_grace = "1s"
reconcile_interval = "1s"
[lanes.transactional]
retry = ["1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s"]
""",
    "simulator_options": [
        "--faults",
        '{"latency": 0.05, "error_rate": 0.1}',
        "--webhook-retry-delays",
        "1,1,2,2,4,4,8,8,15",
    ],
}

Document = dict[str, Any]


def test_a_broker_that_is_killed_loses_nothing(
    own_broker: Callable[[], BrokerServer], start_system: StartSystem, database: StoreDatabase
) -> None:
    broker = own_broker()
    with broker.vhost() as vhost:
        system = start_system(amqp_url=vhost.url, **OPTIONS)
        load = Load(system, [email()] * EMAILS)
        load.wait_for(KILL_AT)
        broker.crash()
        load.finish()
        assert set(load.other) == set(), "accepting needs no broker"
        broker.start_again()
        emails = wait_until_ended(database, load, {"delivered"})
        assert_submitted_as_decided(system, emails)
        assert_nothing_waits_unowed(database, vhost)
        report("broker", load, emails)


def test_a_store_that_is_killed_loses_nothing(
    own_store: Callable[[], StoreServer], start_system: StartSystem, vhost: VirtualHost
) -> None:
    store = own_store()
    with store.database() as database:
        system = start_system(mongodb_uri=database.uri, **OPTIONS)
        load = Load(system, [email()] * EMAILS)
        load.wait_for(KILL_AT)
        store.crash()
        wait_until(lambda: load.other["503"], within=60, what="a caller hears that the store is away")
        store.start_again()
        load.finish()
        # The consumers live: what they learned from the provider is written once the store is back.
        emails = wait_until_ended(database, load, {"delivered"})
        assert_submitted_as_decided(system, emails)
        assert_nothing_waits_unowed(database, vhost)
        report("store", load, emails)
        # Killed while it makes a collection, the embedded store can't be opened again.
        assert set(database.client[database.name].list_collection_names()) == COLLECTIONS


def test_what_killed_consumers_had_in_hand_is_unconfirmed_at_worst(
    start_system: StartSystem, vhost: VirtualHost, database: StoreDatabase
) -> None:
    system = start_system(consumers=2, **OPTIONS)
    load = Load(system, [email()] * EMAILS)
    load.wait_for(KILL_AT)
    wait_until(lambda: system.provider.received() > KILL_AT // 2, within=60, what="calls are out")
    system.consumers[0].kill()
    load.finish()
    emails = wait_until_ended(database, load, {"delivered", "unconfirmed"})
    in_hand = [found for found in emails if found["state"] == "unconfirmed"]
    assert len(in_hand) <= SLOTS
    assert {found["last_error"] for found in in_hand} <= {"lease ran out"}
    assert_submitted_as_decided(system, emails)
    assert_nothing_waits_unowed(database, vhost)
    report("one of two consumer processes", load, emails)


def test_an_api_that_is_killed_keeps_its_word(
    start_system: StartSystem, vhost: VirtualHost, database: StoreDatabase
) -> None:
    system = start_system(**OPTIONS)
    load = Load(system, [email()] * EMAILS)
    load.wait_for(KILL_AT)
    system.api_process.kill()
    wait_until(lambda: load.other["none"], within=60, what="a caller gets no answer")
    system.api_process.start()
    load.finish()
    emails = wait_until_ended(database, load, {"delivered"})
    assert_submitted_as_decided(system, emails)
    assert_nothing_waits_unowed(database, vhost)
    report("API", load, emails)


def wait_until_ended(database: StoreDatabase, load: Load, ends: set[str]) -> list[Document]:
    """Wait until every email that is there has ended so; those that were accepted are there."""

    def all_have_ended() -> list[Document]:
        emails = list(database["emails"].find({}))
        missing = set(load.accepted) - {found["_id"] for found in emails}
        assert not missing, f"{len(missing)} are lost, such as {sorted(missing)[:3]}"
        states = Counter(found["state"] for found in emails)
        assert set(states) <= ends, str(states)
        pending = database["provider_events"].count_documents({"pending": True})
        assert not pending, f"{pending} provider events are pending"
        return emails

    return wait_until(all_have_ended, within=120, what=f"every email is {' or '.join(ends)}")


def assert_submitted_as_decided(system: System, emails: list[Document]) -> None:
    """Accepted by the provider at most once, and submitted again only after a definite no."""
    submissions: dict[str, list[Document]] = defaultdict(list)
    for submission in system.provider.submissions():
        submissions[submission["request_id"]].append(submission)
    assert set(submissions) <= {found["_id"] for found in emails}
    for found in emails:
        ours = submissions[found["_id"]]
        assert sum(submission["accepted_at"] is not None for submission in ours) <= 1, ours
        assert {submission["answer"] for submission in ours[:-1]} <= {"error"}, ours
        calls = {len(ours), len(ours) + 1} if found["state"] == "unconfirmed" else {len(ours)}
        assert found["calls"] in calls, (found["state"], found["calls"], ours)


def report(killed: str, load: Load, emails: list[Document]) -> None:
    states = dict(Counter(found["state"] for found in emails))
    calls = sum(found["calls"] for found in emails)
    print(
        f"{killed} killed: {len(load.accepted)} accepted, other answers {dict(load.other)}; "
        f"{len(emails)} emails in the store, {states}, {calls} calls"
    )
