from datetime import timedelta

import pytest

from delivery.domain.states import State
from delivery.domain.waiting import EXPIRED, OVERDUE, Over, end_of_waiting, settle_unsent
from tests.unit.delivery.builders import NOW, claimed, policy, seconds

MAX_WAIT = timedelta(minutes=5)


def _end(*, waited: timedelta, expires_in: timedelta | None = None) -> Over | None:
    return end_of_waiting(
        waiting_since=NOW - waited,
        expires_at=None if expires_in is None else NOW + expires_in,
        policy=policy(max_wait=MAX_WAIT),
        now=NOW,
    )


def test_an_email_may_wait_for_as_long_as_its_lane_allows() -> None:
    assert _end(waited=MAX_WAIT) is None


def test_an_email_that_waited_longer_is_dead() -> None:
    assert _end(waited=MAX_WAIT + seconds(0.001)) == OVERDUE


@pytest.mark.parametrize("waited", [seconds(1), MAX_WAIT * 2])
def test_an_email_whose_own_time_is_over_has_expired_however_long_it_waited(waited: timedelta) -> None:
    assert _end(waited=waited, expires_in=seconds(0)) == EXPIRED


def test_an_email_ends_no_earlier_than_it_says() -> None:
    assert _end(waited=seconds(1), expires_in=seconds(0.001)) is None


@pytest.mark.parametrize("waited", [seconds(0), MAX_WAIT * 2])
def test_a_claimed_email_whose_time_is_not_over_is_given_back(waited: timedelta) -> None:
    assert settle_unsent(claimed(waiting_since=NOW - waited), now=NOW) is None


def test_a_claimed_email_that_expired_before_its_call_owes_nothing() -> None:
    settled = settle_unsent(claimed(expires_at=NOW), now=NOW)
    assert settled is not None
    assert (settled.state, settled.owed, settled.was_called) == (State.EXPIRED, None, False)
