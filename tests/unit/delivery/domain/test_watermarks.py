from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedTo, message_way
from delivery.domain.watermarks import Way, lost_before, may_be_silent, needs_probe, ways_of
from tests.unit.delivery.builders import NOW, owed_email, seconds

MARGIN = seconds(60)


def test_what_came_well_before_the_watermark_is_lost() -> None:
    assert lost_before(NOW, margin=MARGIN, now=NOW) == NOW - MARGIN


def test_a_watermark_in_the_future_makes_nothing_look_lost() -> None:
    assert lost_before(NOW + seconds(3600), margin=MARGIN, now=NOW) == NOW - MARGIN


def test_without_a_watermark_nothing_is_known_to_be_lost() -> None:
    assert lost_before(None, margin=MARGIN, now=NOW) is None


@pytest.mark.parametrize(
    ("oldest_waiting", "watermark", "expected"),
    [
        (None, None, False),  # nothing waits
        (NOW - seconds(119), None, False),  # not for long
        (NOW - seconds(120), None, True),
        (NOW - seconds(600), NOW - seconds(560), True),  # its way stands still
        (NOW - seconds(600), NOW - seconds(540), True),
        (NOW - seconds(600), NOW - seconds(539), False),  # overtaken: lost, no probe is needed to tell
        (NOW + seconds(60), None, False),  # delayed, and not due yet
    ],
)
def test_a_way_that_stands_still_is_probed(
    oldest_waiting: datetime | None, watermark: datetime | None, *, expected: bool
) -> None:
    probed = needs_probe(oldest_waiting=oldest_waiting, watermark=watermark, now=NOW, margin=MARGIN)
    assert probed is expected


def test_each_tenant_has_a_way_for_each_lane_and_priority_the_most_urgent_first() -> None:
    ways = ways_of(["acme", "default"])
    assert len(ways) == len(set(ways)) == len(Lane) * 5 * 2
    assert ways[:2] == [Way(Lane.CRITICAL, 4, "acme"), Way(Lane.CRITICAL, 4)]
    assert ways[-1] == Way(Lane.BULK, 0)


@pytest.mark.parametrize(
    ("changes", "way"),
    [
        ({"priority": 2}, Way(Lane.TRANSACTIONAL, 2)),
        ({"priority": 2, "attempts": 1}, Way(Lane.TRANSACTIONAL, 4)),
        ({"priority": 2, "waits": 1}, Way(Lane.TRANSACTIONAL, 4)),
        ({"to": OwedTo.DELAY, "attempts": 1}, Way(Lane.TRANSACTIONAL, 4)),
        ({"tenant_id": "acme"}, Way(Lane.TRANSACTIONAL, 1, "acme")),
        ({"to": OwedTo.DEAD}, None),
        ({"to": OwedTo.HELD}, None),
    ],
)
def test_a_message_stands_in_the_order_of_its_tenants_lane_and_its_priority(
    changes: dict[str, object], way: Way | None
) -> None:
    assert message_way(owed_email(**changes)) == way


@given(
    oldest=st.none() | st.integers(-500, 0),
    watermark=st.none() | st.integers(-500, 100),
)
def test_a_way_that_moves_never_needs_a_probe(oldest: int | None, watermark: int | None) -> None:
    margin = seconds(60)
    oldest_waiting = None if oldest is None else NOW + seconds(oldest)
    mark = None if watermark is None else NOW + seconds(watermark)
    if not may_be_silent(mark, margin=margin, now=NOW):
        assert not needs_probe(oldest_waiting=oldest_waiting, watermark=mark, now=NOW, margin=margin)
