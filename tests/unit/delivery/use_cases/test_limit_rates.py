from datetime import timedelta
from threading import Barrier, Lock, Thread

import pytest

from delivery.domain.errors import RateExceeded, StoreUnavailable
from delivery.domain.rates import SECOND, UNLIMITED, Rate
from delivery.store.rate_budgets import Taken
from delivery.use_cases.limit_rates import RateLimits


class Budgets:
    """One bucket a tenant, as the store keeps it."""

    def __init__(self) -> None:
        self.free_at: dict[str, int] = {}
        self.asked = 0
        self.reachable = True
        self._lock = Lock()

    def take(self, tenant_id: str, wanted: int, *, rate: Rate, now: int) -> Taken:
        if not self.reachable:
            raise StoreUnavailable("NetworkTimeout")
        with self._lock:
            self.asked += 1
            free_at = max(self.free_at.get(tenant_id, 0), now - rate.earliest)
            tokens = min(wanted, rate.room(free_at=free_at, now=now))
            self.free_at[tenant_id] = free_at + tokens * rate.interval
            return Taken(tokens, self.free_at[tenant_id])

    def charge(self, tenant_id: str, tokens: int, *, rate: Rate, now: int) -> None:
        free_at = max(self.free_at[tenant_id], now - rate.earliest)
        self.free_at[tenant_id] = free_at + tokens * rate.interval


class Clock:
    def __init__(self) -> None:
        self.now = 10**18

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def budgets() -> Budgets:
    return Budgets()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(budgets: Budgets, clock: Clock) -> RateLimits:
    return RateLimits(budgets, default=UNLIMITED, clock=clock)


def admitted(limits: RateLimits, rate: Rate, *, of: int, tenant_id: str = "acme") -> int:
    """How many of so many requests are admitted."""
    made = 0
    for _ in range(of):
        try:
            limits.admit(tenant_id, rate)
        except RateExceeded:
            continue
        made += 1
    return made


def test_without_a_rate_nobody_is_limited_or_asks_the_store(limits: RateLimits, budgets: Budgets) -> None:
    assert limits.admit("acme", None) is None
    limits.charge("acme", None, 99)
    assert budgets.asked == 0


def test_a_tenants_own_rate_goes_before_that_of_all(budgets: Budgets, clock: Clock) -> None:
    limits = RateLimits(budgets, default=Rate(1, 1), clock=clock)
    assert admitted(limits, Rate(5, 5), of=10) == 5
    assert limits.admit("other", UNLIMITED) is None
    assert limits.admit("third", None) is not None
    with pytest.raises(RateExceeded):
        limits.admit("third", None)


def test_a_burst_is_admitted_and_then_the_rate(limits: RateLimits, clock: Clock) -> None:
    rate = Rate(10, 20)
    assert admitted(limits, rate, of=50) == 20
    clock.now += SECOND
    assert admitted(limits, rate, of=50) == 10


def test_one_tenants_requests_are_not_anothers(limits: RateLimits) -> None:
    assert admitted(limits, Rate(10, 10), of=50) == 10
    assert admitted(limits, Rate(10, 10), of=50, tenant_id="other") == 10


def test_processes_share_one_rate_but_for_a_block_each(budgets: Budgets, clock: Clock) -> None:
    rate, made = Rate(100, 100), 0
    processes = [RateLimits(budgets, default=UNLIMITED, clock=clock) for _ in range(4)]
    for _ in range(10):
        made += sum(admitted(limits, rate, of=100) for limits in processes)
        clock.now += SECOND
    assert 100 + 9 * 100 - 4 * rate.block <= made <= 100 + 9 * 100 + 4 * rate.block


def test_the_store_is_asked_once_a_block_and_not_for_what_is_refused(
    limits: RateLimits, budgets: Budgets
) -> None:
    assert admitted(limits, Rate(1000, 1000), of=5000) == 1000
    assert budgets.asked == 20


def test_what_is_left_is_told(limits: RateLimits, clock: Clock) -> None:
    rate = Rate(10, 20)
    allowance = limits.admit("acme", rate)
    assert allowance is not None
    assert (allowance.limit, allowance.remaining) == (20, 19)
    assert (allowance.reset, allowance.window) == (timedelta(seconds=0.1), timedelta(seconds=2))
    admitted(limits, rate, of=19)
    with pytest.raises(RateExceeded) as exceeded:
        limits.admit("acme", rate)
    assert exceeded.value.allowance.remaining == 0
    assert exceeded.value.again_in == timedelta(seconds=0.1)
    clock.now += exceeded.value.again_in // timedelta(microseconds=1) * 1000
    assert limits.admit("acme", rate)


def test_what_is_worth_more_than_one_is_admitted_and_paid_for_by_later_ones(
    limits: RateLimits, clock: Clock
) -> None:
    rate = Rate(10, 10)
    limits.admit("acme", rate)
    limits.charge("acme", rate, 99)
    with pytest.raises(RateExceeded) as exceeded:
        limits.admit("acme", rate)
    assert exceeded.value.again_in == timedelta(seconds=9.1)
    clock.now += 9 * SECOND
    assert admitted(limits, rate, of=5) == 0
    clock.now += SECOND
    assert admitted(limits, rate, of=50) == 10


def test_a_new_rate_holds_at_once(limits: RateLimits) -> None:
    assert admitted(limits, Rate(1000, 100), of=1) == 1
    assert admitted(limits, Rate(1, 1), of=5) <= 1


def test_nobody_knows_while_the_store_is_away(limits: RateLimits, budgets: Budgets) -> None:
    budgets.reachable = False
    with pytest.raises(StoreUnavailable):
        limits.admit("acme", Rate(1, 1))
    budgets.reachable = True
    assert limits.admit("acme", Rate(1, 1))


def test_many_threads_get_no_more_than_there_is(limits: RateLimits) -> None:
    rate, made, together = Rate(500, 500), [], Barrier(8)

    def call() -> None:
        together.wait()
        made.append(admitted(limits, rate, of=200))

    threads = [Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(made) == 500
