from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.counts import Bin, Counted, Place, accepted, bin_at, bin_of, discarded, happened, hour_of
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.states import TRANSITIONS, State
from tests.unit.delivery.builders import EMAIL_ID, NOW, new_email

HERE = Place("default", Lane.TRANSACTIONAL, NOW)
BINS = {
    State.SCHEDULED: Bin.PENDING,
    State.QUEUED: Bin.PENDING,
    State.SUBMITTING: Bin.PENDING,
    State.RETRYING: Bin.PENDING,
    State.SUBMITTED: Bin.PENDING,
    State.UNCONFIRMED: Bin.PENDING,
    State.DELIVERED: Bin.SENT,
    State.COMPLAINED: Bin.SENT,
    State.BOUNCED: Bin.FAILED,
    State.REJECTED: Bin.FAILED,
    State.FAILED: Bin.FAILED,
    State.SUPPRESSED: Bin.FAILED,
    State.CANCELED: Bin.FAILED,
    State.EXPIRED: Bin.FAILED,
    State.DEAD: Bin.DEAD,
    State.HELD: Bin.HELD,
}


def counted(state: State, **changes: object) -> Counted:
    email = Counted(
        email_id=EMAIL_ID,
        tenant_id="default",
        lane=Lane.TRANSACTIONAL,
        state=state,
        accepted_at=NOW,
        updated_at=NOW,
        is_unreported=False,
        discarded_at=None,
    )
    return replace(email, **changes)  # type: ignore[arg-type]  # of the fields' own types


def happening(state: State, was: State, at: datetime = NOW) -> Happening:
    return Happening(
        tenant_id="default", email_id=EMAIL_ID, lane=Lane.TRANSACTIONAL, state=state, at=at, was=was
    )


def test_every_state_is_in_one_bin() -> None:
    assert {state: bin_of(state, reports_deliveries=True) for state in State} == BINS


def test_submitted_is_sent_where_nothing_more_will_be_heard() -> None:
    assert bin_of(State.SUBMITTED, reports_deliveries=False) is Bin.SENT
    assert bin_of(State.SUBMITTED, reports_deliveries=True, is_unreported=True) is Bin.SENT


@pytest.mark.parametrize("state", [State.DEAD, State.HELD])
def test_what_a_person_gave_up_failed(state: State) -> None:
    assert bin_of(state, reports_deliveries=True, is_discarded=True) is Bin.FAILED


def test_an_accepted_email_is_received_and_pending_in_its_hour() -> None:
    late = replace(new_email("b"), accepted_at=NOW + timedelta(minutes=59, seconds=59))
    assert accepted([new_email("a"), late]) == {(HERE, Bin.RECEIVED): 2, (HERE, Bin.PENDING): 2}
    assert hour_of(NOW + timedelta(minutes=59)) == NOW
    assert hour_of(NOW + timedelta(minutes=60)) == NOW + timedelta(hours=1)


def test_what_happens_moves_an_email_from_bin_to_bin() -> None:
    moved = happened(
        [happening(State.DELIVERED, State.SUBMITTED), happening(State.QUEUED, State.DEAD)],
        reports_deliveries=True,
    )
    assert moved == {(HERE, Bin.PENDING): 0, (HERE, Bin.SENT): 1, (HERE, Bin.DEAD): -1}


def test_what_stays_in_its_bin_is_no_change() -> None:
    assert happened([happening(State.SUBMITTED, State.SUBMITTING)], reports_deliveries=True) == {}


def test_discarded_ones_leave_their_queues_number() -> None:
    changes = discarded({("default", Lane.TRANSACTIONAL): 3}, State.HELD, at=NOW + timedelta(minutes=1))
    assert changes == {(HERE, Bin.HELD): -3, (HERE, Bin.FAILED): 3}


@pytest.mark.parametrize("state", sorted(State))
def test_an_email_that_did_not_change_since_is_counted_where_it_is(state: State) -> None:
    later = NOW + timedelta(seconds=1)
    assert bin_at(counted(state), later, reports_deliveries=True) is BINS[state]


def test_an_email_that_came_later_is_not_counted() -> None:
    assert bin_at(counted(State.DELIVERED), NOW, reports_deliveries=True) is None


def test_an_email_discarded_later_still_was_dead() -> None:
    email = counted(
        State.DEAD,
        history=[(State.DEAD, NOW + timedelta(seconds=1)), (State.DEAD, NOW + timedelta(hours=1))],
        updated_at=NOW + timedelta(hours=1),
        discarded_at=NOW + timedelta(hours=1),
    )
    assert bin_at(email, NOW + timedelta(minutes=1), reports_deliveries=True) is Bin.DEAD
    assert bin_at(email, NOW + timedelta(hours=2), reports_deliveries=True) is Bin.FAILED


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[State, datetime]]:
    """The states that an email goes through, and when."""
    state, at = State.QUEUED, NOW
    life: list[tuple[State, datetime]] = []
    for _ in range(draw(st.integers(0, 8))):
        if not TRANSITIONS[state]:
            break
        state = draw(st.sampled_from(sorted(TRANSITIONS[state])))
        at += timedelta(seconds=draw(st.integers(0, 5000)))
        life.append((state, at))
    return life


@given(lives(), st.integers(0, 12))
def test_counted_at_any_hour_and_changed_since_it_is_where_it_is_now(
    life: list[tuple[State, datetime]], hours: int
) -> None:
    """So it makes no difference when its turn in a recount comes."""
    until = NOW + timedelta(hours=hours)
    states = [State.QUEUED, *(state for state, _ in life)]
    email = counted(states[-1], history=life, updated_at=life[-1][1] if life else NOW)
    numbers = dict.fromkeys(Bin, 0)
    base = bin_at(email, until, reports_deliveries=True)
    if base is not None:
        numbers[Bin.RECEIVED] += 1
        numbers[base] += 1
    moves = [happening(after, was, at) for was, (after, at) in zip(states, life, strict=False)]
    for changes in (accepted([new_email()]), *(happened([m], reports_deliveries=True) for m in moves)):
        for (place, each), by in changes.items():
            numbers[each] += by if place.hour >= until else 0
    assert numbers == {**dict.fromkeys(Bin, 0), Bin.RECEIVED: 1, BINS[states[-1]]: 1}
