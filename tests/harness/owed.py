"""The promise behind the outbox: no state waits for a message that nobody owes."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from delivery.domain.lanes import Lane
from delivery.domain.states import CLAIMABLE, REVIVABLE, State
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.store import StoreDatabase
from topology import names
from topology.delay_steps import parse_step

Document = dict[str, Any]
Message = tuple[str, int]
"""An email's id and the generation that the message is meant for."""

SHORT = timedelta(seconds=10)
"""A delay that is over well before the deadline."""


def assert_nothing_waits_unowed(database: StoreDatabase, vhost: VirtualHost, *, within: float = 20.0) -> None:
    """Every email that waits for a message owes it or has it in a queue, in its own generation; every claim
    has a lease, whose end the reconciler waits for; every provider event is applied or pending.

    It looks at what is at rest, best while no consumer runs. What is between two queues at the first look, or
    in a short delay, is in its lane at a later one: hence the deadline.
    """

    def nothing_does() -> bool:
        faults = what_waits_unowed(database, vhost)
        # Raised rather than returned: the exception's text is what a missed deadline shows.
        assert not faults, f"{len(faults)} wait in vain, such as {faults[:5]}"
        return True

    wait_until(nothing_does, within=within, what="every state that waits has its message")


def what_waits_unowed(database: StoreDatabase, vhost: VirtualHost) -> list[str]:
    """One line for each document that waits in vain."""
    emails = list(database["emails"].find({}))
    faults = [fault for email in emails for fault in _faults_in(email)]
    waiting = _unowed(emails, CLAIMABLE)
    parked = _unowed(emails, REVIVABLE)
    if waiting:
        # The delays before the lanes: in this order nothing slips by.
        there = _messages(vhost, [*_long_delays(vhost), *(names.lane_queue(lane) for lane in names.LANES)])
        faults += [f"{_name(email)}: no message" for email in waiting if _message_for(email) not in there]
    if parked:
        moved = [names.REQUEUE_QUEUE, *(names.lane_queue(lane) for lane in names.LANES)]
        there = _messages(vhost, [names.DEAD_QUEUE, names.HELD_QUEUE, *moved])
        faults += [f"{_name(email)}: no letter" for email in parked if _message_for(email) not in there]
    events = database["provider_events"].find({})
    return faults + [f"event {event['_id']}: forgotten" for event in events if not _is_remembered(event)]


def _long_delays(vhost: VirtualHost) -> list[str]:
    """Those in which a message may be for longer than we wait. Into the others we must not look: a
    `basic.get` at the very end of the last message's time takes it off the queue without handing it to the
    process that dead-letters, and there it stays until another one comes that way (rabbit_fifo.erl, the
    dequeue in which "all ready messages expired", the same from 3.10 to 4.x)."""
    delays = [name for name in vhost.queues() if name.startswith(names.DELAY_PREFIX)]
    return [name for name in delays if parse_step(name.removeprefix(names.DELAY_PREFIX)) > SHORT]


def letters(vhost: VirtualHost, queue: str = names.DEAD_QUEUE) -> list[Message]:
    """What lies in email.dead, or in email.held."""
    return list(_read(vhost, queue))


def _faults_in(email: Document) -> Iterable[str]:
    if email["state"] == State.SUBMITTING:
        until = email.get("claim", {}).get("until")
        if not isinstance(until, datetime):
            yield f"{_name(email)}: claimed without a lease"
    owed = email.get("owed")
    if owed is None:
        return
    if owed["gen"] != email["gen"]:
        yield f"{_name(email)}: owes a message of generation {owed['gen']}"
    if not isinstance(owed.get("at"), datetime) or email["lane"] not in set(Lane):
        yield f"{_name(email)}: owes what the relay does not find"
    if email["state"] not in CLAIMABLE | REVIVABLE:
        yield f"{_name(email)}: owes a message that its state does not wait for"


def _unowed(emails: Iterable[Document], states: Iterable[State]) -> list[Document]:
    return [email for email in emails if email["state"] in set(states) and "owed" not in email]


def _is_remembered(event: Document) -> bool:
    return event.get("pending") is True or "applied_at" in event


def _messages(vhost: VirtualHost, queues: Iterable[str]) -> set[Message]:
    return {message for queue in queues for message in _read(vhost, queue)}


def _read(vhost: VirtualHost, queue: str) -> Iterable[Message]:
    for message in vhost.peek(queue):
        body = json.loads(message["payload"])
        yield body["id"], body["gen"]


def _message_for(email: Document) -> Message:
    return email["_id"], email["gen"]


def _name(email: Document) -> str:
    return f"{email['_id']} {email['state']} generation {email['gen']}"
