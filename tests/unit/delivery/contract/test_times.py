from datetime import datetime, timedelta

import pytest

from delivery.contract.times import LONGEST_AHEAD, MAX_TTL_SECONDS, expiry, send_time
from delivery.domain.errors import ComesTooLate, InvalidRequest
from tests.unit.delivery.builders import NOW, seconds

LATER = NOW + timedelta(days=1)
INSTANT = timedelta(microseconds=1)


def _send_time(given: datetime | None) -> datetime | None:
    return send_time(given, field="send_at", now=NOW)


def _expiry(
    expires_at: datetime | None = None, *, ttl: int | None = None, send_at: datetime | None = None
) -> datetime | None:
    return expiry(expires_at, ttl=ttl, send_at=send_at, now=NOW)


@pytest.mark.parametrize("given", [None, NOW, NOW - INSTANT, NOW - timedelta(days=400)])
def test_no_time_and_a_time_that_has_come_mean_at_once(given: datetime | None) -> None:
    assert _send_time(given) is None


@pytest.mark.parametrize("given", [NOW + INSTANT, LATER, NOW + LONGEST_AHEAD])
def test_up_to_ninety_days_ahead_is_when_it_says(given: datetime) -> None:
    assert _send_time(given) == given


def test_more_than_ninety_days_ahead_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^send_at is more than 90 days ahead$"):
        _send_time(NOW + LONGEST_AHEAD + INSTANT)


def test_without_a_wish_an_email_never_expires() -> None:
    assert _expiry() is None
    assert _expiry(send_at=LATER) is None


@pytest.mark.parametrize(("send_at", "starts"), [(None, NOW), (LATER, LATER)])
def test_a_ttl_counts_from_when_the_email_is_to_be_sent(send_at: datetime | None, starts: datetime) -> None:
    assert _expiry(ttl=60, send_at=send_at) == starts + seconds(60)
    assert _expiry(ttl=MAX_TTL_SECONDS, send_at=send_at) == starts + timedelta(days=90)


def test_an_expiry_is_after_the_time_at_which_it_is_to_be_sent() -> None:
    assert _expiry(LATER + INSTANT, send_at=LATER) == LATER + INSTANT
    with pytest.raises(InvalidRequest, match=r"^expires_at must be after the time"):
        _expiry(LATER, send_at=LATER)


def test_what_has_expired_comes_too_late() -> None:
    with pytest.raises(ComesTooLate):
        _expiry(NOW)
    assert _expiry(NOW + INSTANT) == NOW + INSTANT


def test_an_expiry_and_a_ttl_are_one_too_many() -> None:
    with pytest.raises(InvalidRequest, match=r"^give expires_at or ttl, not both$"):
        _expiry(LATER, ttl=60)
