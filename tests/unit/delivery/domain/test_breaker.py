import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.breaker import (
    Breaker,
    Phase,
    Tally,
    closed,
    is_failure,
    opened,
    probe_left,
    probing,
)
from delivery.domain.outcomes import Outcome
from tests.unit.delivery.builders import BREAKER, NOW, seconds

WORKS = [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.THROTTLED]
FAILS = [Outcome.UNAVAILABLE, Outcome.UNKNOWN]
HOUR = timedelta(hours=1)


CLOSED = Breaker()


def _open(breaker: Breaker = CLOSED, *, now: float = 0.0, misconfigured: bool = False) -> Breaker:
    return opened(
        breaker, reason="HTTP 503", is_misconfigured=misconfigured, policy=BREAKER, now=NOW + seconds(now)
    )


def _reason(outcomes: Iterable[Outcome], *, every: float = 0.1, tally: Tally | None = None) -> str | None:
    """Why it opens after these calls, one every so many seconds, and after which of them."""
    tally = tally or Tally(BREAKER)
    for number, outcome in enumerate(outcomes):
        at = number * every
        reason = tally.count(outcome, begun=at, ended=at)
        if reason is not None:
            return f"{reason} after {number + 1}"
    return None


# Counting


@pytest.mark.parametrize("outcome", FAILS)
def test_a_run_of_failures_opens_it(outcome: Outcome) -> None:
    assert _reason([outcome] * 19) is None
    assert _reason([outcome] * 20) == "20 calls in a row failed after 20"
    assert _reason([outcome] * 20, every=600) == "20 calls in a row failed after 20", (
        "however slowly they come"
    )


@pytest.mark.parametrize("outcome", WORKS)
def test_whatever_shows_that_the_provider_works_ends_a_run(outcome: Outcome) -> None:
    failures = [Outcome.UNAVAILABLE] * 19
    assert not is_failure(outcome)
    assert _reason([*failures, outcome, *failures]) is None


def test_a_refused_credential_opens_it_at_once() -> None:
    calls = [Outcome.ACCEPTED] * 100 + [Outcome.MISCONFIGURED]
    assert _reason(calls) == "our credential or address is refused after 101"


def test_a_high_share_of_failures_opens_it_without_a_run() -> None:
    calls = [Outcome.UNAVAILABLE, Outcome.UNKNOWN, Outcome.UNAVAILABLE, Outcome.ACCEPTED] * 20
    assert _reason(calls) == "38 of 50 calls failed after 50"


def test_a_share_of_few_calls_says_nothing() -> None:
    calls = [Outcome.UNAVAILABLE, Outcome.UNAVAILABLE, Outcome.ACCEPTED] * 1000
    assert _reason(calls, every=1) is None, "there are never more than 30 in the window"


def test_failures_that_have_left_the_window_count_no_more() -> None:
    tally = Tally(BREAKER)
    for number in range(40):
        tally.count(FAILS[0] if number % 2 else WORKS[0], begun=0, ended=number * 0.1)
    reasons = [
        tally.count(FAILS[0] if number % 2 else WORKS[0], begun=0, ended=40 + number) for number in range(100)
    ]
    assert not any(reasons)


def test_random_errors_of_a_fifth_never_open_it() -> None:
    """Ten runs of ten thousand, at rates from a few to hundreds a second."""
    for seed in range(10):
        chance = random.Random(seed)
        calls = [Outcome.UNAVAILABLE if chance.random() < 0.2 else Outcome.ACCEPTED for _ in range(10_000)]
        assert _reason(calls, every=chance.choice([0.003, 0.05, 0.5])) is None


def test_calls_that_were_out_when_it_was_open_are_not_counted_after_it_closed() -> None:
    tally = Tally(BREAKER)
    tally.restart(at=100.0)
    late = [tally.count(Outcome.UNKNOWN, begun=99.0, ended=101.0) for _ in range(100)]
    late += [tally.count(Outcome.MISCONFIGURED, begun=99.0, ended=101.0)]
    assert not any(late)
    assert tally.count(Outcome.MISCONFIGURED, begun=100.0, ended=101.0) is not None


def test_after_a_restart_it_counts_afresh() -> None:
    tally = Tally(BREAKER)
    for _ in range(19):
        tally.count(Outcome.UNAVAILABLE, begun=1.0, ended=1.0)
    tally.restart(at=2.0)
    assert not any(tally.count(Outcome.UNAVAILABLE, begun=2.0, ended=2.0) for _ in range(19))


@given(st.lists(st.tuples(st.sampled_from(list(Outcome)), st.floats(0, 20)), max_size=300))
def test_it_opens_exactly_when_run_or_window_say_so(calls: list[tuple[Outcome, float]]) -> None:
    """Beside the same rule over the whole list of calls, by whole seconds as the tally has it."""
    policy = replace(BREAKER, run=6, share=50, least_calls=5)
    tally, at, seen = Tally(policy), 0.0, []
    for outcome, passed in calls:
        at += passed
        seen.append((int(at), is_failure(outcome)))
        window = [failed for second, failed in seen if second > int(at) - 30]
        is_run = len(seen) >= 6 and all(failed for _, failed in seen[-6:])
        is_share = seen[-1][1] and len(window) >= 5 and sum(window) * 100 >= len(window) * 50
        expected = outcome is Outcome.MISCONFIGURED or is_run or is_share
        assert (tally.count(outcome, begun=at, ended=at) is not None) is expected


# The shared value


def test_it_opens_for_the_first_pause() -> None:
    breaker = _open()
    assert (breaker.phase, breaker.since, breaker.until) == (Phase.OPEN, NOW, NOW + seconds(1))
    assert not breaker.is_closed


def test_each_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    breaker, pauses = Breaker(), []
    for _ in range(100):
        breaker = _open(breaker)
        assert breaker.until is not None
        pauses.append((breaker.until - NOW).total_seconds())
    assert pauses[:7] == [1, 2, 4, 8, 16, 30, 30]
    assert pauses[-1] == 30
    assert breaker.since == NOW
    assert breaker.failures == 100


def test_a_pause_begins_anew_after_it_was_closed() -> None:
    breaker = _open(closed(_open(_open()), now=NOW), now=60)
    assert (breaker.since, breaker.until) == (NOW + seconds(60), NOW + seconds(61))


@pytest.mark.parametrize(("passed", "may"), [(0, False), (0.999, False), (1, True), (86_400, True)])
def test_a_probe_leaves_when_the_pause_is_over(passed: float, may: bool) -> None:
    assert _open().may_probe(now=NOW + seconds(passed), at_most=HOUR) is may


def test_while_one_probe_is_out_no_other_leaves_until_its_process_is_taken_for_dead() -> None:
    breaker = probing(_open(), until=NOW + seconds(15))
    assert breaker.phase is Phase.HALF_OPEN
    assert not breaker.may_probe(now=NOW + seconds(14), at_most=HOUR)
    assert breaker.may_probe(now=NOW + seconds(15), at_most=HOUR)


def test_a_probe_that_is_left_may_be_taken_at_once() -> None:
    breaker = probe_left(probing(_open(), until=NOW + seconds(15)), now=NOW + seconds(2))
    assert breaker.phase is Phase.OPEN
    assert breaker.may_probe(now=NOW + seconds(2), at_most=HOUR)


def test_a_closed_breaker_is_not_probed() -> None:
    assert not Breaker().may_probe(now=NOW, at_most=HOUR)
    assert not closed(_open(), now=NOW).may_probe(now=NOW + HOUR, at_most=HOUR)


def test_a_time_that_a_wrong_clock_wrote_keeps_nobody_waiting() -> None:
    assert _open(now=2 * 3600).may_probe(now=NOW, at_most=HOUR)


def test_every_change_raises_the_version() -> None:
    breaker = _open()
    changes = [
        _open(breaker),
        probing(breaker, until=NOW),
        probe_left(breaker, now=NOW),
        closed(breaker, now=NOW),
    ]
    assert {change.version for change in changes} == {breaker.version + 1}


def test_whether_we_are_misconfigured_is_what_was_seen_last() -> None:
    breaker = _open(misconfigured=True)
    assert breaker.is_misconfigured
    assert probing(breaker, until=NOW).is_misconfigured
    assert not _open(breaker).is_misconfigured
    assert not closed(breaker, now=NOW).is_misconfigured
