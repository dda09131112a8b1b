"""The limit on calls in flight, against providers in simulated time."""

from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.concurrency import LONGEST_REST, Call, ConcurrencyLimit
from delivery.domain.outcomes import Answer, Outcome
from tests.unit.delivery.domain.simulated_provider import ACCEPTED, SimulatedProvider, Worker, run

FLOOR, CEILING = 4, 32
THROTTLED = Answer(Outcome.THROTTLED, "")
UNKNOWN = Answer(Outcome.UNKNOWN, "")


def _worker(
    latency: float | Callable[[int], float] = 1.0,
    *,
    capacity: int = 1_000_000,
    retry_after: float | None = 1.0,
    ceiling: int = CEILING,
    beside: int = 0,
    at_most: int = 1_000_000,
) -> Worker:
    served_in = latency if callable(latency) else lambda _: latency
    return Worker(
        ConcurrencyLimit(floor=FLOOR, ceiling=ceiling, beside=beside),
        SimulatedProvider(served_in, capacity=capacity, retry_after=retry_after),
        at_most=at_most,
    )


def _count(worker: Worker, outcome: Outcome) -> int:
    return sum(answered is outcome for _, answered in worker.answers)


@pytest.mark.parametrize("seconds", [0.005, 0.1, 2.0, 10.0])
def test_a_provider_that_is_slow_by_nature_gets_the_ceiling_within_four_round_trips(seconds: float) -> None:
    worker = _worker(seconds)
    run(worker, seconds=4.5 * seconds)
    assert worker.limit.limit == CEILING
    run(worker, seconds=200 * seconds)
    assert min(limit for at, limit in worker.limits if at > 5 * seconds) == CEILING


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("ceiling", [32, 256])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_provider_whose_latency_varies_gets_the_ceiling_nearly_always(
    sigma: float, ceiling: int, seed: int
) -> None:
    chance = Random(seed)
    worker = _worker(lambda _: chance.lognormvariate(0, sigma), ceiling=ceiling)
    run(worker, seconds=120)
    limits = [limit for _, limit in worker.limits]
    assert sum(limits) / len(limits) > 0.9 * ceiling


@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("capacity", [6, 10, 20])
def test_it_settles_at_the_capacity_of_a_provider_that_answers_429_beyond(
    seconds: float, capacity: int
) -> None:
    worker = _worker(seconds, capacity=capacity)
    run(worker, seconds=200)
    settled = [limit for at, limit in worker.limits if at > 60]
    assert capacity * 0.8 <= sum(settled) / len(settled) <= capacity + 0.5
    assert _count(worker, Outcome.THROTTLED) < 30


def test_two_processes_settle_at_a_capacity_that_they_share() -> None:
    provider = SimulatedProvider(lambda _: 1.0, capacity=20)
    workers = [Worker(ConcurrencyLimit(floor=FLOOR, ceiling=CEILING), provider) for _ in range(2)]
    run(*workers, seconds=300)
    assert 16 <= sum(worker.limit.limit for worker in workers) <= 22
    assert sum(_count(worker, Outcome.THROTTLED) for worker in workers) < 60


def test_more_capacity_is_found_and_used() -> None:
    worker = _worker(0.5, capacity=10)
    run(worker, seconds=120)
    worker.provider.capacity = 1000
    run(worker, seconds=180)
    assert worker.limit.limit == CEILING


@pytest.mark.parametrize("capacity", [8, 12])
def test_it_settles_where_a_provider_that_slows_under_load_takes_twice_its_own_time(capacity: int) -> None:
    worker = _worker(lambda served: max(1.0, served / capacity))
    run(worker, seconds=300)
    settled = [limit for at, limit in worker.limits if at > 20]
    assert capacity * 1.3 <= sum(settled) / len(settled) <= capacity * 2.3


def test_a_provider_that_gets_slower_by_itself_gets_the_floor_and_then_the_ceiling_again() -> None:
    seconds = 0.2
    worker = _worker(lambda _: seconds)
    run(worker, seconds=20)
    seconds = 4.0
    run(worker, seconds=100)
    after = [limit for at, limit in worker.limits if at > 20]
    assert min(after) == FLOOR
    assert after[-1] == CEILING


def test_urgent_calls_beside_the_floor_keep_it_from_nothing() -> None:
    """As many as may be come all the time, so that there is no round without them."""
    seconds, beside = 0.2, 4
    worker = _worker(lambda _: seconds, beside=beside)
    run(worker, seconds=20)
    seconds, worker.urgent = 4.0, beside
    run(worker, seconds=150)
    after = [limit for at, limit in worker.limits if at > 20]
    assert min(after) == FLOOR
    assert after[-1] == CEILING


def test_latency_leaves_room_for_urgent_calls_and_a_429_takes_it() -> None:
    seconds = 0.2
    worker = _worker(lambda _: seconds)
    assert worker.limit.unrefused == FLOOR
    run(worker, seconds=0.3)
    assert worker.limit.unrefused == CEILING
    run(worker, seconds=20)
    seconds = 4.0
    run(worker, seconds=13)
    assert worker.limit.limit < CEILING // 2
    assert worker.limit.unrefused == CEILING
    worker.provider.capacity = 3
    run(worker, seconds=30)
    assert worker.limit.unrefused == worker.limit.limit == FLOOR
    worker.limit.restart(worker.now)
    assert worker.limit.unrefused == FLOOR


def test_an_urgent_call_that_is_throttled_beside_the_floor_makes_nobody_rest() -> None:
    limit = ConcurrencyLimit(floor=FLOOR, ceiling=CEILING, beside=4)
    limit.end(limit.begin(0.0, in_use=FLOOR + 1, is_full=True), THROTTLED, 0.1)
    assert limit.rests_until < 0
    assert limit.unrefused == FLOOR
    limit.end(limit.begin(0.2, in_use=FLOOR, is_full=True), THROTTLED, 0.3)
    assert limit.rests_until > 1


def test_an_urgent_call_that_is_throttled_beside_the_limit_lowers_only_how_many_there_may_be() -> None:
    limit = _at_the_ceiling()
    at = 1000.0
    while limit.limit > FLOOR:
        _round_of(limit, UNKNOWN, begun_at=at, seconds=15)
        at += 20
    assert limit.unrefused == CEILING
    for call in [limit.begin(at, in_use=in_use, is_full=True) for in_use in (11, 10)]:
        limit.end(call, THROTTLED, at + 1)
    assert (limit.limit, limit.unrefused) == (FLOOR, 8)
    limit.end(limit.begin(at + 2, in_use=8, is_full=True), THROTTLED, at + 3)
    assert (limit.limit, limit.unrefused) == (FLOOR, FLOOR)


def test_what_is_slow_but_quick_enough_for_anybody_lowers_nothing() -> None:
    seconds = 0.005
    worker = _worker(lambda _: seconds)
    run(worker, seconds=5)
    seconds = 0.19
    run(worker, seconds=20)
    assert worker.limit.limit == CEILING


def test_it_does_not_grow_while_it_is_not_used() -> None:
    worker = _worker(0.5, at_most=FLOOR - 1)
    run(worker, seconds=300)
    assert worker.limit.limit == FLOOR


def test_a_provider_that_takes_nothing_gets_few_calls() -> None:
    worker = _worker(capacity=0, retry_after=None)
    run(worker, seconds=600)
    assert len(worker.answers) < 300


def test_a_provider_that_takes_less_than_the_floor_goes_on_being_used() -> None:
    worker = _worker(0.1, capacity=2)
    run(worker, seconds=100)
    assert _count(worker, Outcome.ACCEPTED) > 100


def test_a_rest_is_as_long_as_the_provider_says_but_not_for_ever() -> None:
    limit = ConcurrencyLimit(floor=2, ceiling=8)
    for told, rest in [(3, 3.0), (3600, LONGEST_REST)]:
        call = _begin(limit, 100.0)
        limit.end(call, Answer(Outcome.THROTTLED, "", timedelta(seconds=told)), 100.0)
        assert limit.rests_until == 100 + rest


def test_a_rest_is_short_if_the_provider_accepts_something_between_its_429s() -> None:
    limit = ConcurrencyLimit(floor=2, ceiling=8)
    limit.end(_begin(limit, 99.0), ACCEPTED, 99.5)
    limit.end(_begin(limit, 100.0), Answer(Outcome.THROTTLED, "", timedelta(hours=1)), 100.0)
    assert limit.rests_until == 101


def test_a_429_that_asks_for_a_day_holds_it_down_for_minutes_only() -> None:
    worker = _worker(1.0)
    told = Answer(Outcome.THROTTLED, "", timedelta(days=1))
    worker.limit.end(_begin(worker.limit, 0.0), told, 0.0)
    run(worker, seconds=120)
    assert worker.limit.limit == CEILING


def test_a_429_while_few_slots_are_in_use_does_not_send_it_to_the_floor() -> None:
    limit = _at_the_ceiling()
    limit.end(_begin(limit, 1000.0), THROTTLED, 1000.1)
    assert limit.limit == int(CEILING / 2 * 0.8)


def test_many_429s_of_one_round_trip_lower_it_once() -> None:
    limit = _at_the_ceiling()
    calls = [_begin(limit, 1000.0) for _ in range(20)]
    for call in reversed(calls[10:]):
        limit.end(call, THROTTLED, 1000.1)
    assert limit.limit == 16


def test_a_call_that_was_not_made_says_nothing() -> None:
    limit = ConcurrencyLimit(floor=FLOOR, ceiling=CEILING)
    for _ in range(100):
        limit.end(_begin(limit, 0.0), None, 0.0)
    assert (limit.limit, limit.in_flight) == (FLOOR, 0)


def test_connections_that_break_at_once_change_nothing_however_many() -> None:
    limit = _at_the_ceiling()
    for number in range(50):
        broken = [_begin(limit, 1000.0 + number) for _ in range(3)]
        for call in broken:
            limit.end(call, UNKNOWN, 1000.01 + number)
        limit.end(_begin(limit, 1000.0 + number), ACCEPTED, 1000.9 + number)
    assert limit.limit == CEILING


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.UNAVAILABLE, Outcome.MISCONFIGURED])
def test_what_comes_quickly_whatever_the_load_is_changes_nothing(outcome: Outcome) -> None:
    limit = _at_the_ceiling()
    for number in range(200):
        limit.end(_begin(limit, 1000.0 + number), Answer(outcome, ""), 1020.0 + number)
    assert limit.limit == CEILING


def test_calls_that_get_no_answer_lower_it_to_the_floor_and_teach_it_nothing() -> None:
    limit = _at_the_ceiling()
    for number in range(20):
        _round_of(limit, UNKNOWN, begun_at=1000.0 + 100 * number, seconds=15)
    assert limit.limit == FLOOR
    _round_of(limit, ACCEPTED, begun_at=5000.0, seconds=1)
    assert limit.limit == 2 * FLOOR


def test_a_few_calls_that_hang_lower_nothing() -> None:
    limit = _at_the_ceiling()
    for number in range(50):
        begun_at = 1000.0 + 20 * number
        hanging = [_begin(limit, begun_at) for _ in range(3)]
        _round_of(limit, ACCEPTED, begun_at=begun_at, seconds=1)
        for call in hanging:
            limit.end(call, UNKNOWN, begun_at + 15)
    assert limit.limit == CEILING


def test_a_restart_begins_at_the_floor_and_goes_up_again() -> None:
    worker = _worker(0.5)
    run(worker, seconds=10)
    worker.limit.restart(worker.now)
    assert worker.limit.limit == FLOOR
    run(worker, seconds=5)
    assert worker.limit.limit == CEILING


@pytest.mark.parametrize(("floor", "ceiling"), [(0, 4), (5, 4), (-1, 1)])
def test_the_floor_is_at_least_one_and_the_ceiling_no_lower(floor: int, ceiling: int) -> None:
    with pytest.raises(ValueError, match="floor"):
        ConcurrencyLimit(floor=floor, ceiling=ceiling)


def test_a_floor_that_is_the_ceiling_is_a_fixed_limit() -> None:
    worker = Worker(ConcurrencyLimit(floor=8, ceiling=8), SimulatedProvider(lambda n: n * 1.0))
    run(worker, seconds=100)
    assert {limit for _, limit in worker.limits} == {8}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "end", "restart"]),
        st.floats(0, 30),
        st.sampled_from(list(Outcome)),
        st.sampled_from([None, 0, 1, 60]),
        st.booleans(),
    ),
    max_size=200,
)


@given(st.integers(1, 8), st.integers(0, 60), STEPS)
def test_whatever_happens_it_stays_between_floor_and_ceiling(
    floor: int, more: int, steps: list[tuple[str, float, Outcome, int | None, bool]]
) -> None:
    limit = ConcurrencyLimit(floor=floor, ceiling=floor + more)
    out: list[Call] = []
    now = 0.0
    for what, later, outcome, told, flag in steps:
        now += later
        if what == "begin":
            out.append(limit.begin(now, in_use=len(out) + 1, is_full=flag))
        elif what == "end" and out:
            retry_after = None if told is None else timedelta(seconds=told)
            limit.end(out.pop(0 if flag else -1), Answer(outcome, "", retry_after), now)
        elif what == "restart":
            limit.restart(now)
        assert floor <= limit.limit <= floor + more
        assert limit.in_flight == len(out)
        assert limit.rests_until <= now + LONGEST_REST


@given(st.floats(0.02, 5), st.integers(FLOOR + 1, 60))
def test_it_finds_any_capacity_between_floor_and_ceiling(seconds: float, capacity: int) -> None:
    worker = _worker(seconds, capacity=capacity, ceiling=64)
    run(worker, seconds=40 * seconds)
    assert 0.6 * capacity <= worker.limit.limit <= max(capacity + 2, 1.1 * capacity)


def _at_the_ceiling() -> ConcurrencyLimit:
    """A limit that a backlog and a provider with a latency of a second have taken to its ceiling."""
    worker = _worker(1.0)
    run(worker, seconds=20)
    for _, _, call, _ in worker.out:
        worker.limit.end(call, None, worker.now)
    assert worker.limit.limit == CEILING
    return worker.limit


def _begin(limit: ConcurrencyLimit, now: float) -> Call:
    """A call that takes the last slot."""
    return limit.begin(now, in_use=limit.in_flight + 1, is_full=True)


def _round_of(limit: ConcurrencyLimit, answer: Answer, *, begun_at: float, seconds: float) -> None:
    """As many calls at once as the limit allows."""
    calls = [_begin(limit, begun_at) for _ in range(limit.limit)]
    for call in calls:
        limit.end(call, answer, begun_at + seconds)
