from dataclasses import dataclass
from datetime import datetime, timedelta

from consumers.leading import LEASE_TURNS
from consumers.relay import TRY_EVERY, BrokerWatch
from tests.unit.delivery.builders import NOW, seconds

GRACE = seconds(5)


@dataclass
class Publisher:
    is_connected: bool = True
    is_stalled: bool = False
    returns: int = 0

    def come_back(self) -> None:
        self.is_connected, self.is_stalled = True, False
        self.returns += 1


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


def watching() -> tuple[BrokerWatch, Publisher, Clock]:
    publisher, clock = Publisher(), Clock()
    return BrokerWatch(publisher, grace=GRACE, clock=clock), publisher, clock


def test_a_debt_is_left_to_its_own_process_for_the_grace_time() -> None:
    watch, _, _ = watching()
    assert watch.is_able()
    assert watch.older_than() == NOW - GRACE


def test_without_a_connection_nothing_is_relayed() -> None:
    watch, publisher, _ = watching()
    publisher.is_connected = False
    assert not any(watch.is_able() for _ in range(3 * TRY_EVERY))


def test_what_became_owed_while_the_broker_was_away_is_relayed_as_soon_as_it_is_back() -> None:
    watch, publisher, clock = watching()
    publisher.is_connected = False
    watch.is_able()
    publisher.come_back()
    clock.pass_by(seconds(1))
    assert watch.is_able()
    assert watch.older_than() == NOW + seconds(1)


def test_a_process_that_is_not_connected_yet_has_missed_nothing() -> None:
    watch, publisher, _ = watching()
    publisher.is_connected = False
    assert not watch.is_able()
    publisher.is_connected = True
    assert watch.is_able()
    assert watch.older_than() == NOW - GRACE


def test_a_process_that_starts_in_an_outage_relays_what_became_owed_in_it_at_once() -> None:
    watch, publisher, clock = watching()
    publisher.is_connected = False
    assert not any(watch.is_able() for _ in range(2))
    publisher.is_connected = True
    clock.pass_by(seconds(1))
    assert watch.is_able()
    assert watch.older_than() == NOW + seconds(1)


def test_an_outage_between_two_looks_is_one_all_the_same() -> None:
    watch, publisher, clock = watching()
    watch.is_able()
    publisher.come_back()
    clock.pass_by(seconds(1))
    assert watch.is_able()
    assert watch.older_than() == NOW + seconds(1)
    clock.pass_by(seconds(1))
    assert watch.is_able()
    assert watch.older_than() == NOW + seconds(1)


def test_what_becomes_owed_after_that_has_its_grace_again() -> None:
    watch, publisher, clock = watching()
    publisher.is_connected = False
    watch.is_able()
    publisher.come_back()
    watch.is_able()
    clock.pass_by(seconds(3))
    watch.is_able()
    assert watch.older_than() == NOW
    clock.pass_by(seconds(60))
    assert watch.older_than() == NOW + seconds(63) - GRACE


def test_over_a_stalled_connection_it_tries_so_rarely_that_another_process_can_take_over() -> None:
    watch, publisher, _ = watching()
    publisher.is_stalled = True
    tries = [watch.is_able() for _ in range(2 * TRY_EVERY)]
    assert tries == [*[False] * (TRY_EVERY - 1), True] * 2
    assert TRY_EVERY > LEASE_TURNS


def test_a_stall_that_is_over_counts_as_a_return() -> None:
    watch, publisher, clock = watching()
    publisher.is_stalled = True
    watch.is_able()
    publisher.come_back()
    clock.pass_by(seconds(1))
    assert watch.is_able()
    assert watch.older_than() == NOW + seconds(1)
