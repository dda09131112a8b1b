"""Whose CPU time and memory the benchmarks count: the servers', be they in containers or not."""

import psutil

from bench.comparison.processes import cpu_seconds, pid_listening_on
from tests.harness.broker import BrokerServer
from tests.harness.deadline import wait_until
from tests.harness.store import StoreDatabase

MUCH_SECONDS = 0.2
"""Of CPU time: more than whoever only hands on what is asked uses for a few questions."""
DOCUMENTS = 5000


def test_what_the_store_works_is_counted(database: StoreDatabase) -> None:
    """Each question makes it look at all there is, and says one number."""
    pid = pid_listening_on(database.port)
    database["looked_at"].insert_many([{"a": number} for number in range(DOCUMENTS)])
    before = cpu_seconds({"store": [pid]})["store"]

    def has_worked() -> bool:
        database["looked_at"].count_documents({"a": {"$mod": [7, 3]}, "b": None})
        return cpu_seconds({"store": [pid]})["store"] > before + MUCH_SECONDS

    wait_until(has_worked, within=60, what="the store's work is counted")


def test_the_broker_is_an_erlang_node(broker: BrokerServer) -> None:
    first = psutil.Process(pid_listening_on(broker.port))
    names = {process.name() for process in (first, *first.children(recursive=True))}
    assert any(name.startswith("beam") for name in names), names
