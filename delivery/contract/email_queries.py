"""What callers ask of their emails under ``/api/v1/emails``: which ones, and to be sent when."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import RAISE, Schema, ValidationError

from delivery.contract.cursors import CursorField
from delivery.contract.email_answers import STATUSES
from delivery.contract.faults import deny
from delivery.contract.fields import Address, Choice, Instant, Printable, Uuid, WholeNumber
from delivery.contract.json_bodies import parse_object
from delivery.contract.times import send_time
from delivery.domain.errors import InvalidRequest
from delivery.domain.idempotency import LONGEST_KEY
from delivery.domain.lanes import Lane
from delivery.domain.readings import MOST_BY_PAGE, Part, Wanted
from delivery.domain.states import State

DEFAULT_LIMIT = 30
MOST_LIMIT = 100

_STATES: dict[str, frozenset[State]] = {
    **{
        status: frozenset(state for state in State if STATUSES[state] == status)
        for status in STATUSES.values()
    },
    **{state.value: frozenset({state}) for state in State},
}
"""By useSend's words, in capitals, and by ours."""


class Digits(WholeNumber):
    """A whole number in a query."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10
        return super()._deserialize(int(value) if is_number else None, attr, data, **kwargs)


class ListQuerySchema(Schema):
    """Every one narrows the list. A ``+`` in a time must be written ``%2B``, as everywhere in URLs."""

    class Meta:
        unknown = RAISE

    page = Digits(least=1, most=MOST_BY_PAGE)
    limit = Digits(least=1, most=MOST_LIMIT)
    cursor = CursorField(metadata={"description": "the nextCursor of the page before; goes before page"})
    start_date = Instant(data_key="startDate", metadata={"description": "accepted then or later"})
    end_date = Instant(data_key="endDate", metadata={"description": "accepted then or before"})
    status = Choice(tuple(_STATES), metadata={"description": "useSend's, in capitals, or a state of ours"})
    lane = Choice(tuple(lane.value for lane in Lane))
    recipient = Address(metadata={"description": "in to, cc or bcc"})
    idempotency_key = Printable(
        data_key="idempotencyKey",
        most=LONGEST_KEY,
        metadata={"description": "with which they came, at most a day ago"},
    )


class EmailIdPathSchema(Schema):
    email_id = Uuid(required=True)


class RescheduleSchema(Schema):
    class Meta:
        unknown = RAISE

    scheduled_at = Instant(
        data_key="scheduledAt",
        required=True,
        metadata={"description": "a time that has passed means at once"},
    )


_LIST_QUERY = ListQuerySchema()
_RESCHEDULE = RescheduleSchema()


def parse_list_query(given: Mapping[str, list[str]]) -> tuple[Wanted, Part]:
    """given: the values by name. Raises InvalidRequest whose reason names the parameter."""
    for name, found in given.items():
        if len(found) > 1:
            raise InvalidRequest(f"{name[:100]} is given more than once")
    try:
        values: dict[str, Any] = _LIST_QUERY.load({name: found[0] for name, found in given.items()})
    except ValidationError as error:
        deny(error, known=_names(_LIST_QUERY))
    wanted = Wanted(
        states=_STATES[values["status"]] if "status" in values else None,
        lane=Lane(values["lane"]) if "lane" in values else None,
        recipient=values.get("recipient"),
        key=values.get("idempotency_key"),
        since=values.get("start_date"),
        until=values.get("end_date"),
    )
    limit = values.get("limit", DEFAULT_LIMIT)
    return wanted, Part(limit=limit, page=values.get("page", 1), behind=values.get("cursor"))


def parse_reschedule(raw: bytes, *, now: datetime) -> datetime | None:
    """When to send; None for at once. Raises InvalidRequest."""
    try:
        values: dict[str, Any] = _RESCHEDULE.load(parse_object(raw))
    except ValidationError as error:
        deny(error, known=_names(_RESCHEDULE))
    return send_time(values["scheduled_at"], field="scheduledAt", now=now)


def _names(schema: Schema) -> dict[str, object]:
    """As callers write them."""
    return {field.data_key or name: field for name, field in schema.fields.items()}
