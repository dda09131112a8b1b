"""2,500 emails, a provider that fails and goes away, webhooks that repeat and overtake each other."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice

import pytest

from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.api import email
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_for_value, wait_until
from tests.harness.provider import Provider
from tests.harness.replies import Replies
from tests.harness.store import StoreDatabase
from tests.harness.system import System

LANES = ("critical", "transactional", "standard", "bulk")
OVER_HTTP = 2000
OVER_AMQP = 500
ALL = OVER_HTTP + OVER_AMQP

# Twelve retries: one submission in five fails, and an outage of two seconds spends two more attempts.
RETRY = 'retry = ["1s", "1s", "1s", "1s", "1s", "1s", "5s", "5s", "5s", "5s", "5s", "5s"]'
CONFIG = "\n".join(f"[lanes.{lane}]\n{RETRY}" for lane in LANES)

OUTAGES = ((300, "refuse"), (1000, "503"), (1700, "refuse"), (2400, "503"))
"""After so many submissions the provider refuses connections, or answers 503, for two seconds."""


@pytest.mark.long
def test_all_are_sent_and_each_is_accepted_once(
    start_system: Callable[..., System], vhost: VirtualHost, database: StoreDatabase, service: AmqpClient
) -> None:
    system = start_system(config=CONFIG, consumers=2)
    system.provider.set_faults(
        latency={"distribution": "uniform", "low": 0.01, "high": 0.1},
        error_rate=0.2,
        rates={"webhook-dup.3": 0.3, "webhook-reversed": 0.1, "webhook-first": 0.1},
        webhook_shuffle=2,
    )
    with ThreadPoolExecutor(2) as senders:
        over_http = senders.submit(send_over_http, system)
        over_amqp = senders.submit(send_over_amqp, service, vhost)
        break_down_now_and_then(system.provider, while_sending=[over_http, over_amqp])
        request_ids = over_http.result() + over_amqp.result()
    assert len(set(request_ids)) == ALL

    wait_until(
        lambda: system.provider.count("accepted") >= ALL, within=200, what="the provider accepted every email"
    )
    wait_until(system.provider.is_idle, within=120, what="the provider has nothing more to tell")
    wait_for_value(
        lambda: states(database), {"delivered": ALL}, within=60, what="all were reported delivered"
    )
    answers = system.api.statuses(request_ids)
    assert Counter(answer["status"] for answer in answers) == {"sent": ALL}
    assert min(answer["attempts"] for answer in answers) == 1

    system.provider.assert_accepted_once(request_ids)
    assert system.provider.summary()["accepted"] == ALL
    tell(system.provider, database)


def send_over_http(system: System) -> list[str]:
    bodies = [
        email(lane=lane, message=f"number {n}") for n, lane in enumerate(islice(cycle(LANES), OVER_HTTP))
    ]
    return system.api.send_many(bodies)


def send_over_amqp(service: AmqpClient, vhost: VirtualHost) -> list[str]:
    """Publish as a service does, and return the request_ids from the replies."""
    replies = Replies(service, user=vhost.service)
    for lane in LANES:
        messages = [
            Outgoing(
                body=email(message=f"{lane} {number}"),
                message_id=f"{lane}-{number}",
                user_id=vhost.service,
                reply_to=replies.queue,
                correlation_id=f"{lane}-{number}",
            )
            for number in range(OVER_AMQP // len(LANES))
        ]
        service.publish("email.ingest", f"{lane}.shop", messages)
    answers = replies.take(OVER_AMQP, within=120)
    assert {answer["status"] for answer in answers.values()} == {"accepted"}
    return [answer["request_id"] for answer in answers.values()]


def has_received(provider: Provider, count: int, while_sending: Sequence[Future[list[str]]]) -> bool:
    """Raises what ended a sender: no more will come then."""
    for sending in while_sending:
        if sending.done():
            sending.result()
    return provider.received() >= count


def break_down_now_and_then(provider: Provider, *, while_sending: Sequence[Future[list[str]]]) -> None:
    for received, mode in OUTAGES:
        wait_until(
            partial(has_received, provider, received, while_sending),
            within=120,
            what=f"the provider got {received} submissions",
        )
        provider.go_down(mode=mode, seconds=2)


def states(database: StoreDatabase) -> dict[str, int]:
    """How many emails are in each state."""
    return dict(Counter(found["state"] for found in database["emails"].find({}, {"state": 1})))


def tell(provider: Provider, database: StoreDatabase) -> None:
    """Print what was counted."""
    summary = provider.summary()
    documents = list(database["emails"].find({}, {"attempts": 1, "history": 1}))
    not_connected = sum(
        "not connected" in entry.get("detail", "") for d in documents for entry in d["history"]
    )
    print(f"emails: {ALL}, of which over AMQP: {OVER_AMQP}")
    print(f"submissions: {summary['received']}, by answer: {dict(summary['answers'])}")
    print(f"refused connections: {not_connected}")
    print(f"accepted: {summary['accepted']}, more than once: {len(summary['duplicates'])}")
    webhooks = summary["webhooks"]
    print(f"webhooks taken: {webhooks['taken']}, tried in vain: {webhooks['failed_tries']}")
    print(f"attempts per email: {dict(sorted(Counter(d['attempts'] for d in documents).items()))}")
