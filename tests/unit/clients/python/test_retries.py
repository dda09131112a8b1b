from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postroom_client.retries import Patience, pause_after, read_retry_after

PATIENCE = Patience(first_pause=0.5, longest_pause=4)
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(("tries", "longest"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 4), (10_000, 4)])
def test_the_longest_pause_doubles_up_to_a_limit(tries: int, longest: float) -> None:
    assert pause_after(tries, patience=PATIENCE, retry_after=None, share=1) == longest


@given(share=st.floats(0, 1), tries=st.integers(1, 100))
def test_a_pause_is_anything_up_to_the_longest(share: float, tries: int) -> None:
    longest = pause_after(tries, patience=PATIENCE, retry_after=None, share=1)
    assert 0 <= pause_after(tries, patience=PATIENCE, retry_after=None, share=share) <= longest


def test_nobody_comes_back_before_retry_after_nor_all_at_once() -> None:
    pauses = [pause_after(1, patience=PATIENCE, retry_after=7, share=share) for share in (0, 0.5, 1)]
    assert pauses == [7, 7.25, 7.5]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 120 ", 120),
        ("Thu, 31 Jan 2030 12:00:30 GMT", 30),
        ("Thu, 31 Jan 2030 12:00:30 -0000", 30),
        ("Thu, 31 Jan 2030 11:00:00 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, now=NOW) == seconds


def test_no_time_of_a_patience_is_nothing() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Patience(total=0)
