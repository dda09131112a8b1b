from dataclasses import dataclass
from typing import cast

from consumers.lane_buffers import MAX_CLAIM, LaneBuffers
from delivery.broker.delivery import Message
from delivery.domain.lanes import SHARING_LANES, Lane
from delivery.domain.slots import Slots
from delivery.domain.tenant_lanes import TenantLane


@dataclass
class Incoming:
    name: str
    priority: int | None = 1


def _buffers(*, total: int = 4, reserved: int = 1) -> tuple[LaneBuffers, Slots]:
    slots = Slots(total=total, reserved=reserved, weights=dict.fromkeys(Lane, 1))
    return LaneBuffers(slots), slots


def _add(
    buffers: LaneBuffers, lane: Lane, name: str, priority: int | None = 1, *, tenant: str = "default"
) -> None:
    buffers.add(TenantLane(lane, tenant), cast(Message, Incoming(name, priority)))


def _take(buffers: LaneBuffers) -> list[str]:
    return [cast(Incoming, message).name for _, message in buffers.take()]


def test_the_highest_priority_goes_first_and_equals_in_order_of_arrival() -> None:
    buffers, _ = _buffers(total=10)
    for name, priority in [("a", 1), ("b", 0), ("c", 4), ("d", 1), ("e", None), ("f", 3)]:
        _add(buffers, Lane.BULK, name, priority)
    assert _take(buffers) == ["c", "f", "a", "d", "b", "e"]


def test_no_more_is_taken_than_there_are_slots_for() -> None:
    buffers, slots = _buffers(total=4, reserved=1)
    for number in range(9):
        _add(buffers, Lane.BULK, str(number))
    assert _take(buffers) == ["0", "1", "2"]
    assert _take(buffers) == []
    assert slots.in_use == 3
    buffers.release(TenantLane(Lane.BULK))
    assert _take(buffers) == ["3"]


def test_critical_goes_before_everything_else() -> None:
    buffers, _ = _buffers(total=2)
    _add(buffers, Lane.BULK, "bulk", 4)
    _add(buffers, Lane.CRITICAL, "critical", 0)
    assert _take(buffers) == ["critical", "bulk"]


def test_each_message_is_taken_with_its_lane() -> None:
    buffers, _ = _buffers()
    _add(buffers, Lane.STANDARD, "a")
    assert [place for place, _ in buffers.take()] == [TenantLane(Lane.STANDARD)]


def test_in_a_lane_each_tenant_has_its_share_and_its_own_priorities() -> None:
    buffers, _ = _buffers(total=10, reserved=1)
    buffers.change_shares({"acme": 2})
    for number in range(6):
        _add(buffers, Lane.BULK, f"acme {number}", number % 2, tenant="acme")
        _add(buffers, Lane.BULK, f"other {number}", 1, tenant="other")
    taken = _take(buffers)
    assert [name for name in taken if name.startswith("acme")] == [f"acme {n}" for n in (1, 3, 5, 0, 2, 4)]
    assert len(taken) == 9
    assert [name for name in taken if name.startswith("other")] == ["other 0", "other 1", "other 2"]


def test_the_shares_that_count_are_those_of_tenants_with_something_in_hand() -> None:
    buffers, _ = _buffers(total=3, reserved=1)
    buffers.change_shares({"acme": 5, "idle": 7})
    place = TenantLane(Lane.BULK, "acme")
    assert buffers.active_shares(Lane.BULK) == 0
    assert buffers.take_slot(place)
    assert buffers.active_shares(Lane.BULK) == 5
    _add(buffers, Lane.BULK, "a")
    assert (buffers.active_shares(Lane.BULK), buffers.active_shares(Lane.STANDARD)) == (6, 0)
    assert _take(buffers) == ["a"]
    assert not buffers.take_slot(place)
    buffers.release(place)
    assert buffers.active_shares(Lane.BULK) == 1


def test_one_claim_is_not_endless() -> None:
    buffers, _ = _buffers(total=MAX_CLAIM + 50, reserved=0)
    for number in range(MAX_CLAIM + 10):
        _add(buffers, Lane.BULK, str(number))
    assert (len(_take(buffers)), len(_take(buffers))) == (MAX_CLAIM, 10)


def test_what_was_not_taken_can_be_given_back() -> None:
    buffers, _ = _buffers(total=2)
    for lane in Lane:
        _add(buffers, lane, lane)
    taken = _take(buffers)
    left = [cast(Incoming, message).name for message in buffers.clear()]
    assert sorted(taken + left) == sorted(Lane)
    assert buffers.clear() == []
    assert _take(buffers) == []


def test_the_other_lanes_leave_a_slot_for_each_critical_message_that_waits() -> None:
    buffers, _ = _buffers(total=4, reserved=1)
    for lane, name in [
        (Lane.CRITICAL, "c1"),
        (Lane.CRITICAL, "c2"),
        *((Lane.BULK, f"b{n}") for n in range(4)),
    ]:
        _add(buffers, lane, name)
    assert [place.lane for place, _ in buffers.take(SHARING_LANES)] == [Lane.BULK] * 2
    assert [place.lane for place, _ in buffers.take([Lane.CRITICAL])] == [Lane.CRITICAL] * 2
    assert buffers.take() == []


def test_a_claim_is_no_larger_than_asked_for() -> None:
    buffers, slots = _buffers(total=10, reserved=0)
    for name in "abc":
        _add(buffers, Lane.BULK, name)
    assert len(buffers.take(most=2)) == slots.in_use == 2
