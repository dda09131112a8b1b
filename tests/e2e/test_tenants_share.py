"""Tenants share a lane: one's backlog delays another's ten emails by no more than what is out already."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from delivery.domain.lanes import Lane
from tests.e2e.conftest import Whole
from tests.harness.api import Api, email
from tests.harness.backlog import put_backlog
from tests.harness.deadline import wait_until
from tests.harness.shell import Shell
from tests.harness.system import System

SLOTS, RESERVED, PROCESSES = 16, 4, 2
AT_ONCE = PROCESSES * (SLOTS - RESERVED)
"""Calls at once of all lanes but critical."""

AT_FULL_SIZE = f"""
[provider]
min_in_flight = {SLOTS}
max_in_flight = {SLOTS}
[slots]
reserved = {RESERVED}
"""
CONFIG = f"""
[provider]
min_in_flight = {SLOTS}
max_in_flight = {SLOTS}
total_timeout = "5s"
[claims]
lease = "6s"
margin = "200ms"
[slots]
reserved = {RESERVED}
[loops]
lost_margin = "2s"
reconcile_interval = "1s"
[breaker]
run = 10
first_pause = "1s"
longest_pause = "1s"
[lanes.standard]
retry = ["1s", "1s", "1s", "1s", "1s", "1s"]
"""
LATENCY = 0.5
BACKLOG = 500


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    started: Whole = start_whole(config=CONFIG, consumers=PROCESSES, api_key="a-key-of-the-default-tenant")
    started.system.provider.set_faults(latency=LATENCY)
    Shell(started.database.uri)("tenants", "create", "big")
    return started


@pytest.fixture
def running(whole: Whole) -> System:
    """With every process running, and nothing of earlier tests left."""
    whole.system.start()
    wait_until(
        lambda: whole.database["emails"].count_documents({"state": "queued"}) == 0,
        within=240,
        what="all emails of earlier tests are sent",
    )
    wait_until(whole.system.provider.is_idle, within=60, what="the provider is idle")
    whole.system.provider.forget()
    return whole.system


@pytest.fixture(scope="module")
def small(whole: Whole) -> Iterator[Api]:
    """A tenant that comes while everything runs."""
    api = new_tenant(whole, "small")
    yield api
    api.close()


def new_tenant(whole: Whole, tenant_id: str, *options: str) -> Api:
    shell = Shell(whole.database.uri)
    shell("tenants", "create", tenant_id, *options)
    token = shell("keys", "create", tenant_id, "--scope", "send,read", "--name", "test")["token"]
    return Api(whole.system.wiring.api_url, key=token)


def test_two_backlogs_are_sent_in_proportion_to_their_tenants_shares(whole: Whole, running: System) -> None:
    shell = Shell(whole.database.uri)
    shell("tenants", "create", "light")
    assert shell("tenants", "create", "heavy", "--share", "3")["share"] == 3
    for consumers in running.consumers:
        consumers.stop(within=30)
    backlogs(whole, ["light", "heavy"], 120)
    running.start()
    wait_until(lambda: running.provider.received() >= 120, within=60, what="many were submitted")

    first = [submission["recipient"] for submission in running.provider.submissions()[:120]]
    heavy = first.count("heavy@example.com")
    print(f"of the first {len(first)} submissions {heavy} were heavy's; its share is three quarters")
    assert 0.9 * 90 <= heavy <= 1.1 * 90


def test_a_process_that_is_killed_costs_no_tenant_an_email(whole: Whole, running: System) -> None:
    Shell(whole.database.uri)("tenants", "create", "other")
    email_ids = backlogs(whole, ["other", "big"], 100)
    wait_until(lambda: running.provider.received() >= 50, within=60, what="calls are out")
    running.consumers[0].kill()
    wait_until(lambda: running.provider.received() >= 120, within=60, what="the other process has gone on")
    running.start()

    def all_have_left() -> bool:
        found = whole.database["emails"].find({"_id": {"$in": email_ids}}, {"state": 1})
        states = Counter(document["state"] for document in found)
        assert set(states) <= {"submitted", "delivered", "unconfirmed"}, str(states)
        assert states["unconfirmed"] <= SLOTS, str(states)
        return True

    wait_until(all_have_left, within=120, what="no email waits any more")
    assert running.provider.summary()["duplicates"] == []


def test_the_messages_of_a_tenants_queue_that_was_purged_come_back(
    whole: Whole, running: System, small: Api
) -> None:
    for consumers in running.consumers:
        consumers.stop(within=30)
    request_ids = small.send_many([email(lane="standard")] * 20)
    wait_until(lambda: whole.vhost.depth("email.standard.small") == 20, within=30, what="all wait")
    whole.vhost.amqp.purge("email.standard.small")
    running.start()
    small.wait_for_all(request_ids, "sent", within=90)
    running.provider.assert_accepted_once(request_ids)


def test_a_tenants_email_finds_out_that_the_provider_is_back(
    whole: Whole, running: System, small: Api
) -> None:
    running.provider.go_down(mode="503")
    request_ids = small.send_many([email(lane="standard")] * 10)
    breakers = whole.database["breakers"]
    wait_until(lambda: breakers.find_one({"phase": "open"}), within=60, what="the breaker is open")
    running.provider.come_up()
    small.wait_for_all(request_ids, "sent", within=60)
    running.provider.assert_accepted_once(request_ids)


def test_ten_emails_do_not_wait_for_another_tenants_hundreds(
    whole: Whole, running: System, small: Api
) -> None:
    overtaking(whole, running, small, backlog=BACKLOG)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_ten_emails_do_not_wait_for_another_tenants_hundred_thousand(
    start_whole: Callable[..., Whole],
) -> None:
    whole = start_whole(config=AT_FULL_SIZE, consumers=PROCESSES, api_key="a-key-of-the-default-tenant")
    whole.system.provider.set_faults(latency=LATENCY)
    new_tenant(whole, "big").close()
    overtaking(whole, whole.system, new_tenant(whole, "small"), backlog=100_000)


def overtaking(whole: Whole, system: System, small: Api, *, backlog: int) -> None:
    idle, _ = send_ten(system, small)
    for consumers in system.consumers:
        consumers.stop(within=30)
    backlogs(whole, ["big"], backlog)
    system.start()
    # Not quite all slots: one is also held while an outcome is written.
    wait_until(
        lambda: system.provider.count("in_flight") >= AT_ONCE * 2 / 3, within=60, what="big has the slots"
    )

    busy, overtaken_by = send_ten(system, small)

    print(
        f"ten emails, alone: {idle:.2f} s; beside {backlog} of another tenant: {busy:.2f} s, "
        f"of which {overtaken_by} began meanwhile; {AT_ONCE} calls at once of {LATENCY} s"
    )
    assert whole.vhost.depth("email.bulk.big") > backlog / 3, "the backlog was gone before the end"
    assert overtaken_by <= AT_ONCE + 10


def backlogs(whole: Whole, tenant_ids: Sequence[str], count: int) -> list[str]:
    """So many bulk emails of each tenant, to an address that tells whose they are; all their ids."""
    for tenant_id in tenant_ids:
        put_backlog(
            whole.database,
            whole.vhost,
            count,
            lane=Lane.BULK,
            recipient=f"{tenant_id}@example.com",
            tenant_id=tenant_id,
        )
    found = whole.database["emails"].find({"tenant_id": {"$in": list(tenant_ids)}})
    return [document["_id"] for document in found]


def send_ten(system: System, small: Api) -> tuple[float, int]:
    """Send ten emails; how long it took from when they were accepted until the last was at the provider, and
    how many others began meanwhile."""
    ours = set(small.send_many([email(lane="bulk")] * 10))
    accepted_at = time.time()
    submissions: list[dict[str, Any]] = []

    def are_there() -> bool:
        submissions[:] = system.provider.submissions()
        return ours <= {submission["request_id"] for submission in submissions}

    wait_until(are_there, within=120, what="all ten are at the provider")
    last = max(each["received_at"] for each in submissions if each["request_id"] in ours)
    others = [each for each in submissions if each["request_id"] not in ours]
    return last - accepted_at, sum(accepted_at < each["received_at"] < last for each in others)
