from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedTo, message_way
from delivery.domain.watermarks import Way, lost_before, silence, ways_of
from tests.unit.delivery.builders import NOW, owed_email, seconds

MARGIN = seconds(60)


def test_what_came_well_before_the_watermark_is_lost() -> None:
    assert lost_before(NOW, margin=MARGIN, now=NOW) == NOW - MARGIN


def test_a_watermark_in_the_future_makes_nothing_look_lost() -> None:
    assert lost_before(NOW + seconds(3600), margin=MARGIN, now=NOW) == NOW - MARGIN


def test_without_a_watermark_nothing_is_known_to_be_lost() -> None:
    assert lost_before(None, margin=MARGIN, now=NOW) is None


@pytest.mark.parametrize(
    ("came", "watermark", "expected"),
    [
        (NOW - seconds(119), None, False),  # it waits, but not for long
        (NOW - seconds(120), None, True),
        (NOW - seconds(600), NOW - seconds(560), True),  # its way stands still
        (NOW - seconds(600), NOW - seconds(540), True),
        (NOW - seconds(600), NOW - seconds(539), False),  # overtaken: lost, no probe is needed to tell
        (NOW + seconds(60), None, False),  # delayed, and not due yet
        (NOW - seconds(600), NOW - seconds(59), False),  # its way moves
    ],
)
def test_what_waits_while_its_way_stands_still_asks_for_a_probe(
    came: datetime, watermark: datetime | None, *, expected: bool
) -> None:
    silent = silence(watermark, margin=MARGIN, now=NOW)
    is_silent = silent is not None and (silent[0] is None or came >= silent[0]) and came <= silent[1]
    assert is_silent is expected


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


@given(watermark=st.integers(-500, 100))
def test_a_way_that_has_moved_within_the_margin_needs_no_look(watermark: int) -> None:
    silent = silence(NOW + seconds(watermark), margin=MARGIN, now=NOW)
    assert (silent is None) is (NOW + seconds(watermark) > NOW - MARGIN)
