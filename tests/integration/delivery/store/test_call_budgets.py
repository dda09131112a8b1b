"""The budget of status checks against the real store: one document, whoever asks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest

from delivery.domain.call_budget import CallBudget
from delivery.store.call_budgets import CallBudgets
from simulator.status_budget import most_in_a_window
from tests.harness.store import StoreDatabase
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import NOW, seconds

PROVIDER = "mail-delivery-service"
BUDGET = CallBudget(60)
ROUNDING = timedelta(milliseconds=1)
"""What is stored is rounded up to the millisecond."""


@pytest.fixture
def budgets(postroom: Store) -> CallBudgets:
    return CallBudgets(postroom.db)


def take(budgets: CallBudgets, wanted: int = 100, *, now: datetime = NOW, budget: CallBudget = BUDGET) -> int:
    return budgets.take(PROVIDER, wanted, budget=budget, now=now)


def test_a_new_provider_has_a_burst_and_then_one_call_an_interval(budgets: CallBudgets) -> None:
    assert [take(budgets), take(budgets)] == [BUDGET.burst, 0]
    later = NOW + BUDGET.interval + ROUNDING
    assert [take(budgets, now=later), take(budgets, now=later)] == [1, 0]


def test_no_more_is_taken_than_is_wanted(budgets: CallBudgets) -> None:
    assert take(budgets, 1) == 1
    assert take(budgets, now=NOW + ROUNDING) == BUDGET.burst - 1


def test_each_provider_has_its_own(budgets: CallBudgets) -> None:
    take(budgets)
    assert budgets.take("another", 100, budget=BUDGET, now=NOW) == BUDGET.burst


def test_the_budget_outlives_its_processes(
    budgets: CallBudgets, database: StoreDatabase, open_store: Callable[..., Store]
) -> None:
    take(budgets)
    assert take(CallBudgets(open_store(database.uri).db)) == 0


def test_two_clients_that_race_get_no_more_than_one_would(
    database: StoreDatabase, open_store: Callable[..., Store]
) -> None:
    """Both want all there is, and look together, twice a second for two minutes."""
    clients = [CallBudgets(open_store(database.uri).db) for _ in range(2)]
    together = Barrier(len(clients))

    def run(client: CallBudgets) -> list[float]:
        departures: list[float] = []
        for look in range(240):
            at = look * 0.5
            together.wait(timeout=60)
            departures += [at] * take(client, now=NOW + seconds(at))
        return departures

    with ThreadPoolExecutor(2) as threads:
        taken = sorted(at for departures in threads.map(run, clients) for at in departures)
    assert most_in_a_window(taken) <= BUDGET.calls_per_minute
    assert len(taken) >= 0.8 * 2 * BUDGET.calls_per_minute, "and no less"


def test_whoever_loses_the_race_for_the_first_document_gets_nothing_and_no_error(
    database: StoreDatabase, open_store: Callable[..., Store]
) -> None:
    clients = [CallBudgets(open_store(database.uri).db) for _ in range(4)]
    together = Barrier(len(clients))

    def first(client: CallBudgets) -> int:
        together.wait(timeout=60)
        return take(client)

    with ThreadPoolExecutor(len(clients)) as threads:
        assert sum(threads.map(first, clients)) <= BUDGET.burst
    assert take(clients[0], now=NOW + seconds(60)) > 0


def test_no_call_leaves_during_a_pause(budgets: CallBudgets) -> None:
    take(budgets)
    until = NOW + seconds(90)
    budgets.pause(PROVIDER, until=until)
    assert take(budgets, now=until - seconds(0.001)) == 0
    assert take(budgets, now=until) >= 1


def test_a_shorter_pause_does_not_end_a_longer_one(budgets: CallBudgets) -> None:
    take(budgets)
    budgets.pause(PROVIDER, until=NOW + seconds(90))
    budgets.pause(PROVIDER, until=NOW + seconds(10))
    assert take(budgets, now=NOW + seconds(60)) == 0


def test_what_the_store_cuts_off_a_time_lets_no_call_leave_too_early(budgets: CallBudgets) -> None:
    """The store keeps whole milliseconds; the interval of this budget is one and a half."""
    large = CallBudget(45_000)
    take(budgets, large.burst, budget=large)
    looks = [NOW + timedelta(milliseconds=number) for number in range(1, 31)]
    taken = sum(take(budgets, 1, budget=large, now=look) for look in looks)
    assert 0 < taken <= timedelta(milliseconds=30) / large.interval
