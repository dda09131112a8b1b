"""A provider that is away is left alone but for single probes: nobody's attempts are spent on finding out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import requests

from stack.services import consumers_part
from tests.harness.api import email
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value, wait_until
from tests.harness.line import Line
from tests.harness.ports import free_ports
from tests.harness.store import StoreDatabase
from tests.harness.system import System

LANES = ("critical", "transactional", "standard", "bulk")
RUN = 20
FLOOR, CEILING = 4, 16


def config(*, first_pause: str = "1s", longest_pause: str = "2s", critical: str = "") -> str:
    """critical: more settings of this lane."""
    retries = "\n".join(f'[lanes.{lane}]\nretry = ["1s", "1s", "2s", "2s"]' for lane in reversed(LANES))
    return f"""
[provider]
min_in_flight = {FLOOR}
max_in_flight = {CEILING}
[breaker]
run = {RUN}
first_pause = "{first_pause}"
longest_pause = "{longest_pause}"
{retries}
{critical}
"""


PROVIDER = "mail-delivery-service"
ALARM = "ALARM provider refuses our credential or address detail=HTTP 401"


def breaker_of(database: StoreDatabase) -> dict[str, Any]:
    return database["breakers"].find_one() or {"phase": "closed", "failures": 0}


def wait_for_probes(database: StoreDatabase, count: int) -> dict[str, Any]:
    """Until the breaker is open and so many probes have failed."""

    def has_failed() -> dict[str, Any]:
        breaker = breaker_of(database)
        assert breaker["failures"] > count, breaker
        return breaker

    return wait_until(has_failed, within=120, what=f"{count} probes have failed")


def attempts(database: StoreDatabase) -> int:
    """Spent by all emails together."""
    return sum(document["attempts"] for document in database["emails"].find({}, {"attempts": 1}))


def in_all_lanes(count: int, **fields: object) -> list[dict[str, object]]:
    return [
        email(lane=lane, recipient=f"{lane}@example.com", **fields) for lane in LANES for _ in range(count)
    ]


def provider_health(url: str) -> dict[str, Any]:
    answer = requests.get(url, timeout=10)
    assert answer.status_code == 200, answer.text
    health: dict[str, Any] = answer.json()
    return health


def status_of(url: str) -> str:
    return str(provider_health(url)["status"])


def degraded(url: str) -> dict[str, Any]:
    """What it says, once it is degraded; nothing before."""
    health = provider_health(url)
    return health if health["status"] == "degraded" else {}


def lane_of(submission: dict[str, Any]) -> str:
    return str(submission["recipient"]).partition("@")[0]


def test_an_outage_costs_a_few_attempts_and_after_it_all_is_sent_beginning_gently(
    start_system: Callable[..., System], database: StoreDatabase
) -> None:
    system = start_system(config=config(), consumers=2)
    system.provider.go_down(mode="503")
    request_ids = system.api.send_many(in_all_lanes(75))
    breaker = wait_for_probes(database, 4)
    calls, spent = system.provider.submissions(), attempts(database)
    opened_at = breaker["since"].timestamp()
    probes = [call for call in calls if call["received_at"] > opened_at + 0.9]
    print(
        f"{len(request_ids)} emails, provider down: {len(calls)} calls, {len(probes)} of them probes; "
        f"{spent} attempts spent; probes by lane: {[lane_of(probe) for probe in probes]}"
    )
    assert lane_of(probes[0]) == "critical"
    assert len(calls) - len(probes) <= 2 * (RUN + CEILING)
    assert spent <= 2 * (RUN + CEILING), "a probe spends none"
    assert all(call["answered_at"] for call in probes)

    system.provider.set_faults(latency=0.4)
    already = len(system.provider.submissions())
    system.provider.come_up()
    system.api.wait_for_all(request_ids, "sent", within=120)
    system.provider.assert_accepted_once(request_ids)
    after = [call for call in system.provider.submissions(since=already) if call["answer"] == "accepted"]
    probe, *resumed = after
    first_answer = min(call["answered_at"] for call in resumed)
    at_once = sum(call["received_at"] < first_answer for call in resumed)
    print(
        f"back: {len(after)} calls, {at_once} before the first answer, "
        f"at most {system.provider.count('max_in_flight')} at once"
    )
    assert probe["answered_at"] <= resumed[0]["received_at"], "nothing else is sent before the probe's answer"
    assert at_once <= 2 * FLOOR
    assert system.provider.count("max_in_flight") > 2 * FLOOR
    assert breaker_of(database)["phase"] == "closed"


def test_a_refused_credential_stops_all_at_once_with_one_alarm_and_no_attempt_spent(
    start_system: Callable[..., System], database: StoreDatabase
) -> None:
    system = start_system(config=config(), consumers=2)
    system.provider.set_faults(rates={"401": 1.0})
    request_ids = system.api.send_many(in_all_lanes(20))
    wait_for_probes(database, 2)
    calls = system.provider.received()
    alarms = sum(consumers.log.read_text().count(ALARM) for consumers in system.consumers)
    print(f"{len(request_ids)} emails, credential refused: {calls} calls, {alarms} alarm")
    assert alarms == 1
    assert attempts(database) == 0
    assert calls <= 2 * CEILING + breaker_of(database)["failures"]

    system.provider.heal()
    system.api.wait_for_all(request_ids, "sent", within=120)
    system.provider.assert_accepted_once(request_ids)
    assert {answer["attempts"] for answer in system.api.statuses(request_ids)} == {1}


def test_what_waits_too_long_ends_while_the_breaker_is_open(
    start_system: Callable[..., System], database: StoreDatabase, vhost: VirtualHost
) -> None:
    system = start_system(config=config(longest_pause="10s", critical='max_wait = "4s"'), consumers=2)
    system.provider.go_down(mode="503")
    opening = system.api.send_many([email(lane="transactional")] * RUN * 3)
    wait_for_probes(database, 0)
    already = system.provider.received()
    overdue = system.api.send_many([email(lane="critical")] * 20)
    expiring = system.api.send_many([email(ttl=3, lane="standard")] * 20)
    patient = system.api.send_many([email(lane="standard")] * 20)
    system.api.wait_for_all([*overdue, *expiring], "failed", within=60)
    answers = [*system.api.statuses(overdue), *system.api.statuses(expiring)]
    ends = Counter((answer["detail"], answer.get("reason")) for answer in answers)
    calls = system.provider.received() - already
    print(f"while open: {dict(ends)}, {calls} calls")
    assert calls < len(overdue) / 2, "they end where they wait, not as probes"
    assert {detail for detail, _ in ends} == {"dead", "expired"}
    assert {answer["reason"] for answer in answers if answer["detail"] == "dead"} == {"max_wait_exceeded"}
    assert {answer["detail"] for answer in system.api.statuses(overdue)} == {"dead"}
    assert {answer["status"] for answer in system.api.statuses(patient)} == {"processing"}
    wait_for_value(
        lambda: vhost.depth("email.dead"), len(overdue), within=60, what="each dead has its letter"
    )
    assert breaker_of(database)["phase"] != "closed"

    system.provider.come_up()
    system.api.wait_for_all([*opening, *patient], "sent", within=120)
    vhost.move_messages("email.dead", "email.requeue")
    system.api.wait_for_all(overdue, "sent", within=120)
    system.provider.assert_accepted_once([*opening, *patient, *overdue])
    assert not {call["request_id"] for call in system.provider.submissions() if call["accepted_at"]} & set(
        expiring
    )


def test_an_open_breaker_stays_open_over_a_restart_until_it_is_time_for_a_probe(
    start_system: Callable[..., System], database: StoreDatabase, vhost: VirtualHost
) -> None:
    system = start_system(config=config(first_pause="10s", longest_pause="10s"), consumers=2)
    system.provider.go_down(mode="503")
    request_ids = system.api.send_many(in_all_lanes(20))
    opened = wait_for_probes(database, 0)
    wait_until(
        lambda: all(provider_health(url)["provider"]["breaker"] == "open" for url in system.consumers_health),
        within=60,
        what="both processes know: neither begins a call any more",
    )
    wait_for_value(
        lambda: database["emails"].count_documents({"state": "submitting"}),
        0,
        within=60,
        what="what was claimed and not called is given back",
    )
    one, other = system.consumers
    one.kill()
    other.stop(within=30)
    system.provider.come_up()
    already = system.provider.received()

    system.start()
    healths = [provider_health(url) for url in system.consumers_health]
    assert breaker_of(database)["version"] == opened["version"], "read, not written"
    assert {(health["status"], health["provider"]["breaker"]) for health in healths} == {("degraded", "open")}
    assert system.provider.received() == already
    system.api.wait_for_all(request_ids, "sent", within=120)
    first = system.provider.submissions(since=already)[0]
    print(
        f"opened, restarted, and probed {first['received_at'] - opened['since'].timestamp():.1f} s after it"
    )
    assert first["received_at"] >= opened["until"].timestamp() - 0.1
    system.provider.assert_accepted_once(request_ids)


def leave_open(database: StoreDatabase, *, phase: str = "open") -> None:
    """A breaker as it was written a month ago."""
    long_ago = datetime.now(UTC) - timedelta(days=30)
    left = {"phase": phase, "since": long_ago, "until": long_ago, "failures": 40, "reason": "HTTP 503"}
    breaker = {**left, "is_misconfigured": False, "version": 80}
    database["breakers"].replace_one({"_id": PROVIDER}, breaker, upsert=True)


def test_a_breaker_that_was_left_open_long_ago_is_probed_at_once_and_so_is_one_whose_prober_died(
    start_system: Callable[..., System], database: StoreDatabase
) -> None:
    for phase in ("open", "half_open"):
        leave_open(database, phase=phase)
        system = start_system(config=config(longest_pause="1h"))
        request_ids = system.api.send_many(in_all_lanes(5))
        system.api.wait_for_all(request_ids, "sent", within=60)
        assert breaker_of(database)["phase"] == "closed"
        system.close()


def test_a_process_that_is_cut_off_from_the_broker_leaves_the_probe_to_one_that_is_not(
    start_system: Callable[..., System],
    database: StoreDatabase,
    vhost: VirtualHost,
    line_to: Callable[[int], Line],
) -> None:
    leave_open(database)
    line = line_to(vhost.server.port)
    system = start_system(amqp_url=line.over(vhost.url), config=config())
    wait_until(lambda: breaker_of(database)["version"] > 82, within=60, what="it looks for a probe")
    line.cut()
    (port,) = free_ports(1)
    wiring = replace(system.wiring, amqp_url=vhost.url)
    other = consumers_part(system.around, wiring=wiring, number=2, health_port=port)
    system.consumers.append(other)
    other.start()
    other.wait_ready(60)
    request_ids = system.api.send_many([email()])
    system.api.wait_for_all(request_ids, "sent", within=60)
    assert breaker_of(database)["phase"] == "closed"


def test_readyz_of_api_and_consumers_tells_of_the_breaker(
    start_system: Callable[..., System], database: StoreDatabase
) -> None:
    system = start_system(config=config())
    urls = [f"{system.api.url}/readyz", *system.consumers_health]
    closed = {"breaker": "closed"}
    for url in urls:
        health = provider_health(url)
        assert (health["status"], health["provider"]) == ("ready", closed)
    system.provider.go_down(mode="503")
    request_ids = system.api.send_many(in_all_lanes(10))
    wait_for_probes(database, 1)
    for url in urls:
        health = wait_until(
            partial(degraded, url),
            within=30,
            what="it is degraded",
        )
        provider = health["provider"]
        assert provider["breaker"] in ("open", "half_open")
        assert datetime.fromisoformat(provider["since"]) <= datetime.now(UTC)
        assert "HTTP 503" in provider["reason"]
    system.provider.come_up()
    system.api.wait_for_all(request_ids, "sent", within=60)
    for url in urls:
        wait_for_value(partial(status_of, url), "ready", within=30, what="it is ready again")
