"""The publishing thread of an API process, against a real broker: how it ends."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from delivery.bootstrap.api import ApiParts, build_api
from delivery.config import load_config
from delivery.domain.owed import OwedEvent
from delivery.use_cases.messages import decode_events
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.line import Line
from tests.harness.store import StoreDatabase
from topology import names

SOON = timedelta(seconds=0.5)
LONG = timedelta(seconds=60)
EVENTS = [OwedEvent(event_id=f"test:{number}") for number in range(1000)]


@pytest.fixture
def line(vhost: VirtualHost, line_to: Callable[[int], Line]) -> Line:
    return line_to(vhost.server.port)


@pytest.fixture
def parts(vhost: VirtualHost, line: Line, database: StoreDatabase) -> Iterator[ApiParts]:
    environ = {"AMQP_URL": line.over(vhost.url), "MONGODB_URI": database.uri, "WEBHOOK_SECRETS": "a" * 32}
    parts = build_api(load_config(environ))
    before = set(threading.enumerate())
    yield parts
    left = [thread for thread in threading.enumerate() if thread.name == "publishing"]
    assert set(left) <= before
    parts.store.client.close()


def connections(vhost: VirtualHost) -> set[str]:
    return vhost.connections("postroom api .*")


def test_a_stop_publishes_what_was_handed_over_and_disconnects(vhost: VirtualHost, parts: ApiParts) -> None:
    parts.publishing.start()
    parts.publishing.wait_until_connected(LONG)
    wait_until(lambda: connections(vhost), within=60, what="the connection is listed")
    parts.publishing.hand_over(EVENTS)
    parts.publishing.stop(LONG)
    assert not parts.publishing.is_connected
    letters = vhost.peek(names.PROVIDER_EVENT_QUEUE)
    published = [event_id for letter in letters for event_id in decode_events(letter["payload"].encode())]
    assert sorted(published) == sorted(event.event_id for event in EVENTS)
    wait_until(lambda: not connections(vhost), within=60, what="the connection is gone")


def test_what_is_handed_over_after_a_stop_stays_owed(parts: ApiParts) -> None:
    parts.publishing.start()
    parts.publishing.stop(LONG)
    parts.publishing.hand_over(EVENTS)
    parts.publishing.stop(LONG)


def test_a_stop_waits_no_longer_than_told_for_a_broker_that_says_nothing(parts: ApiParts, line: Line) -> None:
    parts.publishing.start()
    parts.publishing.wait_until_connected(LONG)
    line.stall()
    parts.publishing.hand_over(EVENTS)
    parts.publishing.stop(SOON)


def test_a_stop_ends_a_search_for_a_broker_that_is_away(parts: ApiParts, line: Line) -> None:
    line.cut()
    parts.publishing.start()
    parts.publishing.stop(SOON)


def test_a_stop_of_what_never_began_does_nothing(parts: ApiParts) -> None:
    parts.publishing.stop(LONG)
