"""A tenant's request rate in the store: one bucket, from which many processes take."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from delivery.domain.rates import SECOND, Rate
from delivery.store.rate_budgets import RateBudgets, Taken
from tests.integration.delivery.store.conftest import Store

RATE = Rate(per_second=100, burst=50)
NOW = 1_700_000_000 * SECOND + 123


@pytest.fixture
def budgets(postroom: Store) -> RateBudgets:
    return RateBudgets(postroom.db)


@pytest.fixture
def take(budgets: RateBudgets) -> Callable[..., Taken]:
    def take(wanted: int, *, now: int = NOW, tenant_id: str = "acme") -> Taken:
        return budgets.take(tenant_id, wanted, rate=RATE, now=now)

    return take


Take = Callable[..., Taken]


def test_a_bucket_that_is_new_or_rested_is_full(take: Take) -> None:
    for now in (NOW, NOW + 3600 * SECOND):
        assert take(40, now=now).tokens == 40
        assert take(40, now=now) == Taken(10, now + RATE.interval)
        assert take(40, now=now).tokens == 0


def test_it_fills_at_its_rate(take: Take) -> None:
    take(50)
    assert [take(99, now=NOW + SECOND // 10).tokens, take(99, now=NOW + SECOND // 5).tokens] == [10, 10]


def test_tenants_have_buckets_of_their_own(take: Take) -> None:
    assert take(50).tokens == take(50, tenant_id="other").tokens == 50


def test_what_is_charged_is_missing_later(take: Take, budgets: RateBudgets) -> None:
    take(1)
    budgets.charge("acme", 99, rate=RATE, now=NOW)
    assert take(1).tokens == 0
    assert take(1, now=NOW + SECOND // 2).tokens == 0
    assert take(99, now=NOW + SECOND).tokens == 50


def test_a_rest_makes_no_charge_smaller(take: Take, budgets: RateBudgets) -> None:
    take(1)
    later = NOW + 3600 * SECOND
    budgets.charge("acme", 49, rate=RATE, now=later)
    assert take(99, now=later).tokens == 1


def test_many_at_once_get_no_more_than_there_is(take: Take) -> None:
    with ThreadPoolExecutor(16) as threads:
        taken = [each.tokens for each in threads.map(lambda _: take(5), range(64))]
    assert sum(taken) <= RATE.burst
    rest = take(RATE.burst).tokens
    assert sum(taken) + rest == RATE.burst
