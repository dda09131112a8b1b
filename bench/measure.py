"""The measurements, each a function of a running system."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pymongo import MongoClient

from bench.figures import percentile
from delivery.domain.emails import Content, EmailRequest, NewEmail
from delivery.store.client import DURABLE
from delivery.store.email_documents import new_document
from delivery.store.indexes import create_indexes
from tests.harness.amqp import Outgoing
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.store import StoreDatabase
from tests.harness.system import System

BATCH = 100
"""Emails in a batch: as many as one may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepting:
    """rate: emails per second. Latencies in milliseconds, of requests."""

    rate: float
    p50: float
    p99: float
    failures: int


def accepting(system: System, *, connections: int, seconds: float, is_keyed: bool = False) -> Accepting:
    """POST /send from so many connections, each sending its next when it has its answer."""
    keyed = ["--keyed"] if is_keyed else []
    return _accepting(_load(system, *keyed, connections=connections, seconds=seconds))


def accepting_batches(system: System, *, connections: int, seconds: float) -> Accepting:
    """The same with POST /api/v1/emails/batch."""
    return _accepting(_load(system, f"--batch={BATCH}", connections=connections, seconds=seconds))


def _accepting(run: dict[str, Any]) -> Accepting:
    latencies = run["latencies"]
    return Accepting(
        rate=run["emails"] / run["took"],
        p50=percentile(latencies, 0.5) * 1000,
        p99=percentile(latencies, 0.99) * 1000,
        failures=run["failures"],
    )


def single_inserts(database: StoreDatabase, *, seconds: float) -> float:
    """The store's rate of durable inserts, one after the other, of the same document with the same indexes.

    database: by the way on which the API reaches the store.
    """
    singles = database.client[f"{database.name}_singles"]
    create_indexes(singles)
    collection = singles.get_collection("emails", write_concern=DURABLE)
    now = datetime.now(UTC)
    content = Content(sender="bench@example.com", recipient="somebody@example.com", message="x" * 500)
    template = new_document(
        NewEmail(email_id="", tenant_id="default", request=EmailRequest(content=content), accepted_at=now),
        hash_key=b"bench",
    )
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        collection.insert_one({**template, "_id": str(uuid4())})
        count += 1
    rate = count / (time.perf_counter() - started)
    database.client.drop_database(singles.name)
    return rate


def end_to_end(system: System, *, count: int, connections: int) -> float:
    """Emails per second from the first POST /send to the last one's acceptance by the provider."""
    before = system.provider.received()
    started = time.perf_counter()
    _load(system, connections=connections, count=count)
    wait_until(
        lambda: system.provider.received() >= before + count, within=600, what="all emails are submitted"
    )
    return count / (time.perf_counter() - started)


def drain(system: System, database: StoreDatabase, *, count: int) -> float:
    """Emails per second that the consumers submit when so many wait; they are stopped while it fills."""
    for part in system.consumers:
        part.stop(within=30)
    before = system.provider.received()
    _load(system, connections=16, count=count)
    wait_until(
        lambda: (
            database["emails"].count_documents({"owed.at": {"$gt": datetime(1970, 1, 1, tzinfo=UTC)}}) == 0
        ),
        within=300,
        what="all are queued",
    )
    system.start()
    started = time.perf_counter()
    wait_until(
        lambda: system.provider.received() >= before + count, within=600, what="all emails are submitted"
    )
    return count / (time.perf_counter() - started)


def wait_until_idle(database: StoreDatabase) -> None:
    """Nothing waits, nothing is in flight, every report has been applied."""
    live = {"state": {"$in": ["queued", "submitting", "retrying", "submitted"]}}
    wait_until(
        lambda: database["emails"].count_documents(live) == 0, within=900, what="every email has ended"
    )


def broker_memory(vhost: VirtualHost, *, count: int) -> float:
    """MiB that the broker grows by while ``count`` messages wait in a lane and nothing consumes."""
    node = vhost.server.management
    wait_until(lambda: _memory(node.request("GET", "nodes")), within=30, what="the broker has figures")
    before = _settled(lambda: _memory(node.request("GET", "nodes")))
    messages = [Outgoing(body={"id": str(uuid4()), "gen": 1}) for _ in range(1000)]
    for _ in range(count // 1000):
        vhost.amqp.publish("email", "bulk", messages)
    wait_until(lambda: vhost.depth("email.bulk") >= count, within=60, what="all wait in the lane")
    after = _settled(lambda: _memory(node.request("GET", "nodes")))
    vhost.amqp.purge("email.bulk")
    return (after - before) / 1024 / 1024


def store_name(client: "MongoClient[dict[str, Any]]") -> str:
    """What the store says it is."""
    info = client.admin.command("buildInfo")
    name = "SecantusDB" if "secantus" in json.dumps(info, default=str).lower() else "MongoDB"
    return f"{name} {info.get('version', '?')}"


def _load(system: System, *flags: str, connections: int, **limits: float) -> dict[str, Any]:
    options = [f"--{name}={value}" for name, value in limits.items()]
    command = [
        sys.executable,
        "-m",
        "bench.load",
        f"--url={system.api.url}",
        f"--connections={connections}",
    ]
    done = subprocess.run([*command, *options, *flags], capture_output=True, check=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _memory(nodes: Sequence[dict[str, Any]]) -> float:
    return float(sum(node["mem_used"] for node in nodes))


def _settled(read: Callable[[], float]) -> float:
    """A reading that no longer moves by more than 2 %: the broker collects its garbage in its own time."""
    last = read()
    for _ in range(12):
        time.sleep(5)
        current = read()
        if abs(current - last) < 0.02 * current:
            return current
        last = current
    return last
