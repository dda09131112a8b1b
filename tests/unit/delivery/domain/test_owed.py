from datetime import timedelta

import pytest

from delivery.domain.delays import DelayStep
from delivery.domain.lanes import DEFAULT_PRIORITY, PRIORITIES, RETRY_PRIORITY, Lane
from delivery.domain.owed import OwedTo, Route, route
from tests.unit.delivery.builders import NOW, owed_email, seconds

STEPS = tuple(DelayStep(seconds(length), f"{length}s") for length in (1, 5, 30))


def _route(*, due_in: float = 0.0, **changes: object) -> Route:
    return route(owed_email(due_at=NOW + seconds(due_in), **changes), now=NOW, steps=STEPS)


@pytest.mark.parametrize("to", [OwedTo.LANE, OwedTo.DELAY])
@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("due_in", [0.0, -60.0])
def test_what_is_due_goes_straight_into_its_lane(to: OwedTo, lane: Lane, due_in: float) -> None:
    found = _route(to=to, lane=lane, due_in=due_in)
    assert (found.delay, found.routing_key) == (None, lane)


@pytest.mark.parametrize("to", [OwedTo.LANE, OwedTo.DELAY])
def test_what_is_not_due_yet_is_delayed_and_keeps_its_lane(to: OwedTo) -> None:
    found = _route(to=to, lane=Lane.BULK, due_in=4.0)
    assert found.delay == STEPS[1]
    assert found.routing_key == "bulk"


@pytest.mark.parametrize("due_in", [0.0, 4.0])
def test_a_tenants_email_goes_into_its_own_queue_of_the_lane_at_once_or_after_a_delay(due_in: float) -> None:
    assert _route(lane=Lane.BULK, tenant_id="acme", due_in=due_in).routing_key == "bulk.acme"


def test_a_debt_that_is_paid_late_waits_only_for_what_is_left() -> None:
    owed = owed_email(to=OwedTo.DELAY, due_at=NOW + seconds(30))
    assert route(owed, now=NOW + seconds(29.5), steps=STEPS).delay == STEPS[0]


@pytest.mark.parametrize("to", [OwedTo.DEAD, OwedTo.HELD])
def test_a_letter_is_parked_at_once_whenever_its_email_was_due(to: OwedTo) -> None:
    found = _route(to=to, due_in=60.0, attempts=3)
    assert (found.delay, found.routing_key) == (None, to.value)


@pytest.mark.parametrize("priority", [*PRIORITIES])
def test_fresh_mail_has_the_priority_its_caller_asked_for(priority: int) -> None:
    assert _route(priority=priority).priority == priority


@pytest.mark.parametrize("changes", [{"attempts": 1}, {"waits": 1}])
def test_a_retry_goes_ahead_of_all_fresh_mail(changes: dict[str, int]) -> None:
    assert _route(priority=3, **changes).priority == RETRY_PRIORITY > max(PRIORITIES)


def test_the_default_priority_is_one_that_a_caller_may_ask_for() -> None:
    assert DEFAULT_PRIORITY in PRIORITIES


def test_a_wait_longer_than_every_step_takes_the_longest() -> None:
    assert _route(due_in=timedelta(days=3).total_seconds()).delay == STEPS[-1]
