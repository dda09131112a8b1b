"""A hundred thousand emails that are due at the same moment: no stall, and each is queued once."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from delivery.domain.lanes import Lane
from delivery.store.indexes import SET
from tests.harness.api import email
from tests.harness.backlog import put_scheduled
from tests.harness.broker import VirtualHost
from tests.harness.counters import counted
from tests.harness.deadline import wait_until
from tests.harness.store import StoreDatabase
from tests.harness.system import System

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

EMAILS = 100_000
CRITICAL = 20


def test_a_hundred_thousand_due_at_once_go_out_while_all_else_goes_on(
    start_system: Callable[..., System], vhost: VirtualHost, database: StoreDatabase
) -> None:
    """Killed in the middle, too. What is sent at once meanwhile goes ahead of them."""
    system = start_system(consumers=2)
    send_at = datetime.now(UTC) - timedelta(seconds=1)
    for consumers in system.consumers:
        consumers.kill()
    put_scheduled(database, EMAILS, lane=Lane.BULK, recipient="bulk@example.com", send_at=send_at)
    began = time.monotonic()
    system.start()
    wait_until(lambda: system.provider.received() > 500, within=120, what="bulk is being sent")

    first = [_send_critical(system, number) for number in range(CRITICAL)]
    system.consumers[0].kill()
    second = [_send_critical(system, number) for number in range(CRITICAL)]
    assert _is_any_scheduled(database), "all were queued before the end of the test"
    system.consumers[0].start()
    # Cheap looks first: for the second kind the embedded store reads all that is scheduled still.
    wait_until(
        lambda: vhost.depth("email.bulk") + system.provider.received() > EMAILS * 0.95,
        within=1200,
        what="nearly all are queued",
    )
    wait_until(lambda: not _is_any_scheduled(database), within=300, what="all are queued")
    queued_after = time.monotonic() - began
    memory = max(psutil.Process(part.pid).memory_info().rss for part in system.consumers)
    bulk = {"content.recipient": "bulk@example.com"}
    emails = database["emails"].count_documents(bulk)
    scheduled = database["emails"].count_documents({**bulk, "state": "scheduled"})
    summary = system.provider.summary()
    print(
        f"{EMAILS} due at once: queued after {queued_after:.0f} s; meanwhile /send to provider took "
        f"{1000 * max(first):.0f} ms and, after a kill, {1000 * max(second):.0f} ms at most; "
        f"a consumer process has {memory / 2**20:.0f} MiB; submitted by then {summary['received']}; "
        f"relayed {counted(system, 'relayed_messages')}"
    )
    assert (emails, scheduled) == (EMAILS, 0)
    assert not summary["duplicates"]


def _is_any_scheduled(database: StoreDatabase) -> bool:
    """By its index: looks at every email would leave the embedded store no time for others."""
    return database["emails"].find_one({"lane": Lane.BULK.value, "scheduled.at": SET}, {"_id": 1}) is not None


def _send_critical(system: System, number: int) -> float:
    """Seconds from the request until the provider has it."""
    began = time.monotonic()
    key = f"critical-{began}-{number}"
    body = email(lane="critical", recipient=f"critical-{number}@example.com")
    # A store that is too busy to answer in time is told with 503: its callers repeat, as these do.
    request_id = wait_until(
        lambda: system.api.post(body, Idempotency_Key=key).json()["request_id"], within=60, what="it is taken"
    )
    wait_until(
        lambda: system.api.status(request_id)["detail"] in ("submitted", "delivered"),
        within=60,
        what="the critical email is sent",
    )
    return time.monotonic() - began
