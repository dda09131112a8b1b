import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest

from consumers.leases import Leases
from delivery.domain.errors import StoreUnavailable
from tests.harness.deadline import wait_until
from tests.unit.delivery.builders import NOW, seconds

LEASE = timedelta(hours=1)
OFTEN = timedelta(milliseconds=10)


class Claims:
    def __init__(self) -> None:
        self.renewals: list[tuple[set[str], set[str], datetime]] = []
        self.error: Exception | None = None

    def renew(self, email_ids: Sequence[str], *, tokens: Sequence[str], until: datetime) -> None:
        self.renewals.append((set(email_ids), set(tokens), until))
        if self.error is not None:
            raise self.error

    def wait_for_renewals(self, count: int) -> None:
        before = len(self.renewals)
        wait_until(lambda: len(self.renewals) >= before + count, within=30, what="leases are renewed")


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def leases(claims: Claims) -> Iterator[Leases]:
    """Leases of an hour, renewed every 10 ms."""
    running = Leases(claims, lease=LEASE, clock=lambda: NOW, renew_every=OFTEN)
    running.start()
    yield running
    running.stop()


def _hold(leases: Leases, token: str, *email_ids: str, age: timedelta = timedelta(0)) -> None:
    """Held as if it had been claimed so long ago."""
    _, ends = leases.end_of_new()
    leases.hold(token, email_ids, ends=ends - age.total_seconds())


def test_a_lease_is_renewed_for_as_long_as_it_is_held(leases: Leases, claims: Claims) -> None:
    _hold(leases, "token", "a", "b")
    claims.wait_for_renewals(3)
    assert claims.renewals[-1] == ({"a", "b"}, {"token"}, NOW + LEASE)


def test_all_leases_are_renewed_in_one_call(leases: Leases, claims: Claims) -> None:
    _hold(leases, "one", "a")
    _hold(leases, "two", "b")
    claims.wait_for_renewals(2)
    assert claims.renewals[-1][:2] == ({"a", "b"}, {"one", "two"})


def test_what_was_let_go_is_renewed_no_more(leases: Leases, claims: Claims) -> None:
    _hold(leases, "one", "a", "b")
    _hold(leases, "two", "c")
    leases.let_go("one", "a")
    leases.let_go("two", "c")
    claims.wait_for_renewals(2)
    assert claims.renewals[-1][:2] == ({"b"}, {"one"})


def test_with_nothing_held_the_store_is_not_bothered(claims: Claims) -> None:
    asked = threading.Event()

    def clock() -> datetime:
        asked.set()
        return NOW

    leases = Leases(claims, lease=LEASE, clock=clock, renew_every=OFTEN)
    leases.hold("won nothing", [], ends=float("inf"))
    leases.start()
    assert asked.wait(30)
    leases.stop()
    assert claims.renewals == []


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a fault of ours")])
def test_no_error_ends_the_renewing(leases: Leases, claims: Claims, error: Exception) -> None:
    claims.error = error
    _hold(leases, "token", "a")
    claims.wait_for_renewals(2)
    claims.error = None
    claims.wait_for_renewals(2)


def test_an_error_is_logged_without_its_text(
    leases: Leases, claims: Claims, caplog: pytest.LogCaptureFixture
) -> None:
    claims.error = RuntimeError("quotes a document")
    _hold(leases, "token", "a")
    claims.wait_for_renewals(2)
    assert "RuntimeError" in caplog.text
    assert "quotes" not in caplog.text


def test_a_lease_that_ran_out_is_not_brought_back_to_life(leases: Leases, claims: Claims) -> None:
    _hold(leases, "dead", "a", age=2 * LEASE)
    _hold(leases, "alive", "b")
    claims.wait_for_renewals(3)
    assert leases.remaining("dead") < timedelta(0)
    assert claims.renewals[-1][:2] == ({"b"}, {"alive"})


def test_a_lease_that_is_not_ours_has_nothing_left(leases: Leases) -> None:
    _hold(leases, "token", "a")
    assert leases.remaining("another") == timedelta(0)
    leases.let_go("token", "a")
    assert leases.remaining("token") == timedelta(0)


def test_letting_go_of_what_is_not_held_is_no_fault(leases: Leases) -> None:
    leases.let_go("token", "a")


def test_what_is_left_of_a_lease_is_counted_from_before_its_claim(claims: Claims) -> None:
    leases = Leases(claims, lease=seconds(60), clock=lambda: NOW)
    until, ends = leases.end_of_new()
    assert until == NOW + seconds(60)
    leases.hold("token", ["a"], ends=ends)
    assert timedelta(0) < leases.remaining("token") <= seconds(60)


def test_a_renewal_prolongs_what_is_left(leases: Leases, claims: Claims) -> None:
    _hold(leases, "token", "a", age=LEASE / 2)
    wait_until(lambda: leases.remaining("token") > LEASE / 2, within=30, what="the renewed end counts")
