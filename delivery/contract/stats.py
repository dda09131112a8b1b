"""What ``GET /stats`` answers."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, validate

from delivery.domain.counts import Bin, TenantCounts
from delivery.domain.lanes import Lane

_MEANS = {
    Bin.RECEIVED: "accepted, ever: the sum of the others",
    Bin.PENDING: "not at an end yet",
    Bin.SENT: "as GET /status says sent",
    Bin.FAILED: "as GET /status says failed, without dead and held ones",
    Bin.DEAD: "out of attempts, waiting for a person",
    Bin.HELD: "of unknown outcome, waiting for a person",
}

_Counts = Schema.from_dict(
    {
        each.value: fields.Integer(
            required=True, validate=validate.Range(min=0), metadata={"description": means}
        )
        for each, means in _MEANS.items()
    },
    name="CountsSchema",
)


class StatsSchema(_Counts):  # type: ignore[valid-type, misc]  # made from the table above
    lanes = fields.Nested(
        Schema.from_dict(
            {lane.value: fields.Nested(_Counts, required=True) for lane in Lane}, name="LanesSchema"
        ),
        required=True,
    )
    counted_at = fields.AwareDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "as of then all emails were counted one by one"},
    )


def render_stats(counts: TenantCounts) -> dict[str, Any]:
    """A change that is not written yet, or was lost, can leave a number below what it was taken from."""
    lanes = {lane: _whole(counts.lanes[lane]) for lane in Lane}
    total = {each.value: sum(lane[each.value] for lane in lanes.values()) for each in Bin}
    at = counts.counted_at.isoformat() if counts.counted_at is not None else None
    return {**total, "lanes": {lane.value: bins for lane, bins in lanes.items()}, "counted_at": at}


def _whole(counts: Mapping[Bin, int]) -> dict[str, int]:
    return {each.value: max(0, counts[each]) for each in Bin}
