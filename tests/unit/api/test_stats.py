from delivery.domain.counts import Bin, TenantCounts
from delivery.domain.lanes import Lane
from tests.unit.api.fakes import FakeApi
from tests.unit.delivery.builders import NOW


def test_a_tenant_sees_its_own_counts_in_all_and_by_lane(api: FakeApi) -> None:
    lanes = {lane: dict.fromkeys(Bin, 0) for lane in Lane}
    lanes[Lane.BULK] |= {Bin.RECEIVED: 10, Bin.PENDING: 4, Bin.SENT: 3, Bin.DEAD: 2, Bin.HELD: 1}
    lanes[Lane.CRITICAL] |= {Bin.RECEIVED: 2, Bin.FAILED: 2}
    api.store.counts.found["default"] = TenantCounts(lanes=lanes, counted_at=NOW)
    response = api.client.get("/stats")
    assert response.status_code == 200
    stats = response.json
    assert stats is not None
    assert {each: stats[each] for each in Bin} == {
        "received": 12,
        "pending": 4,
        "sent": 3,
        "failed": 2,
        "dead": 2,
        "held": 1,
    }
    assert stats["lanes"]["critical"]["failed"] == 2
    assert list(stats["lanes"]) == list(Lane)
    assert stats["counted_at"] == NOW.isoformat()


def test_a_change_that_is_missing_shows_as_nothing_rather_than_less(api: FakeApi) -> None:
    lanes = {lane: dict.fromkeys(Bin, 0) for lane in Lane}
    lanes[Lane.BULK] |= {Bin.PENDING: -1, Bin.SENT: 1}
    api.store.counts.found["default"] = TenantCounts(lanes=lanes, counted_at=None)
    stats = api.client.get("/stats").json
    assert stats is not None
    assert (stats["pending"], stats["sent"], stats["counted_at"]) == (0, 1, None)
