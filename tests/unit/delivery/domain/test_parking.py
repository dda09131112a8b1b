import pytest

from delivery.domain.parking import is_stale
from delivery.domain.states import REVIVABLE, State


@pytest.mark.parametrize("state", sorted(REVIVABLE))
def test_the_letter_of_a_parked_email_stays(state: State) -> None:
    assert not is_stale(state, gen=3, letter_gen=3)


@pytest.mark.parametrize("state", sorted(set(State) - REVIVABLE))
def test_the_letter_of_an_email_that_is_parked_no_more_goes(state: State) -> None:
    assert is_stale(state, gen=3, letter_gen=3)


@pytest.mark.parametrize("state", sorted(State))
def test_the_letter_of_an_earlier_generation_goes(state: State) -> None:
    assert is_stale(state, gen=3, letter_gen=2)


@pytest.mark.parametrize("state", sorted(State))
def test_where_the_store_is_older_than_the_broker_letters_stay(state: State) -> None:
    assert not is_stale(state, gen=3, letter_gen=4)
    assert not is_stale(None, gen=0, letter_gen=1)
