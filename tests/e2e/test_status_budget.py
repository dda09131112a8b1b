"""Ten thousand unknown outcomes, and a provider that blocks whoever asks more than sixty times a minute."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from delivery.bootstrap import Store, build_store, new_email_id
from delivery.config import load_config
from delivery.config_values import Config
from delivery.domain.call_budget import CallBudget
from delivery.domain.emails import Content, EmailRequest, NewEmail
from delivery.domain.lanes import Lane
from delivery.domain.outcomes import Answer, Outcome
from delivery.use_cases.settle_emails import settle_emails
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value, wait_until
from tests.harness.owed import letters
from tests.harness.store import StoreDatabase
from tests.harness.system import System
from topology.names import HELD_QUEUE

EMAILS = {Lane.BULK: 9000, Lane.STANDARD: 970, Lane.TRANSACTIONAL: 15, Lane.CRITICAL: 15}
URGENT = {Lane.CRITICAL, Lane.TRANSACTIONAL}
BUDGET = 60
CALLED_AGO = timedelta(minutes=10)
"""How long ago the calls were made: every check is due, and "never seen" counts."""

# Standard is decided when checks have gone on for more than a minute; bulk has more time than this test.
CONFIG = f"""
[checks]
calls_per_minute = {BUDGET}
[lanes.critical]
max_wait = "12h"
on_unknown = "hold"
unknown_deadline = "45m"
[lanes.standard]
unknown_deadline = "680s"
[lanes.bulk]
unknown_deadline = "45m"
"""

BATCH = 100

MEANWHILE = 10.0
"""Seconds before the first deadline from which on a check and the decision may meet."""


@pytest.mark.long
@pytest.mark.timeout(600)  # two minutes, but for a machine that others use, too
def test_ten_thousand_unknown_outcomes_are_settled_within_the_providers_budget(
    start_system: Callable[..., System], database: StoreDatabase, vhost: VirtualHost
) -> None:
    """None of them ever arrived. The most urgent are found out and sent again; others are held in time."""
    system = start_system(config=CONFIG, consumers=2)
    first, second = system.consumers
    for part in system.consumers:
        part.stop(within=30)
    lanes = leave_unconfirmed(system, database)
    emails = database["emails"]
    (first_over,) = emails.find({"lane": Lane.STANDARD.value}).sort("question.decide_at").limit(1)
    system.start()

    wait_until(lambda: len(system.provider.status_calls()) >= BUDGET // 3, within=120, what="checks are made")
    first.kill()
    wait_until(lambda: span(system) > 62, within=200, what="checks went on for more than a minute")
    undecided = {"state": "unconfirmed", "lane": {"$ne": Lane.BULK.value}}
    wait_for_value(
        lambda: emails.count_documents(undecided), 0, within=200, what="all whose time is up are settled"
    )
    held = {email["_id"] for email in emails.find({"state": "held"}, {"_id": 1})}
    wait_until(
        lambda: {email_id for email_id, _ in letters(vhost, HELD_QUEUE)} == held,
        within=120,
        what="each has its letter",
    )
    met_at = first_over["question"]["decide_at"].timestamp() - MEANWHILE
    in_time = {call["request_id"] for call in system.provider.status_calls() if call["at"] < met_at}
    system.api.wait_for_all(in_time, "sent", within=120)
    second.stop(within=30)
    status = system.provider.summary()["status"]
    calls = system.provider.status_calls()
    asked = [call["request_id"] for call in calls]
    states = Counter(email["state"] for email in emails.find({}, {"state": 1}))
    print(f"status endpoint: {status}; of {len(lanes)} emails: {dict(states)}")

    assert status["most_in_a_minute"] <= BUDGET
    assert status["bans"] == 0
    together = CallBudget(BUDGET).burst
    ranks = [list(Lane).index(lanes[request_id]) for request_id in asked]
    late = [
        rank for number, rank in enumerate(ranks) if rank < max(ranks[: max(0, number - together)], default=0)
    ]
    assert not late, "the most urgent lanes first"
    assert {request_id for request_id, lane in lanes.items() if lane in URGENT} <= set(asked)
    assert len(asked) - len(set(asked)) <= together, "only what the killed process was asking about, twice"

    over = {request_id for request_id, lane in lanes.items() if lane is Lane.STANDARD}
    assert over - set(asked) <= held <= over - in_time, (
        "what nobody could ask about is held, and nothing else"
    )
    assert {submission["request_id"] for submission in system.provider.submissions()} <= set(asked) - held
    system.provider.assert_accepted_once(in_time)


def leave_unconfirmed(system: System, database: StoreDatabase) -> dict[str, Lane]:
    """Emails that were accepted and called, and of whose call nobody knows the end: request_id -> lane."""
    path = system.folder / "postroom.toml"
    config = load_config({"POSTROOM_CONFIG": str(path), "MONGODB_URI": database.uri})
    store = build_store(config, timeout=timedelta(seconds=30))
    lanes = {new_email_id(): lane for lane, count in EMAILS.items() for _ in range(count)}
    waiting = iter(lanes.items())
    while batch := list(islice(waiting, BATCH)):
        called_at = datetime.now(UTC) - CALLED_AGO
        new = [new_email(email_id, lane, at=called_at) for email_id, lane in batch]
        leave_batch(new, store=store, config=config, called_at=called_at)
    return lanes


def leave_batch(batch: list[NewEmail], *, store: Store, config: Config, called_at: datetime) -> None:
    store.emails.insert(batch)
    claimed = store.claims.claim(
        [email.email_id for email in batch], gen=1, token="gone", until=called_at, now=called_at
    )
    assert len(claimed) == len(batch)
    unknown = Answer(Outcome.UNKNOWN, "HTTP 504")
    settle_emails(
        [(email, unknown) for email in claimed],
        claims=store.claims,
        policies=config.lanes,
        checks=config.checks,
        now=called_at,
    )


def new_email(email_id: str, lane: Lane, *, at: datetime) -> NewEmail:
    content = Content(sender="shop@example.com", recipient="ann@example.com", message="Hello")
    request = EmailRequest(content=content, lane=lane)
    return NewEmail(email_id=email_id, tenant_id="default", request=request, accepted_at=at)


def span(system: System) -> float:
    """The seconds between the first check and the last."""
    calls = system.provider.status_calls()
    return float(calls[-1]["at"] - calls[0]["at"])
