"""What GET /status answers."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from delivery.contract.fields import Uuid
from delivery.domain.emails import Standing
from delivery.domain.errors import InvalidRequest
from delivery.domain.states import State, Status, fold

UNREPORTED = "unreported"
"""The detail of an email that was submitted, and whose report never came."""


class RequestIdSchema(Schema):
    request_id = Uuid(required=True, metadata={"description": "as POST /send answered it"})


class StatusSchema(Schema):
    request_id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf([status.value for status in Status]))
    detail = fields.String(
        required=True,
        validate=validate.OneOf([*(state.value for state in State), UNREPORTED]),
        metadata={"description": "the exact state"},
    )
    attempts = fields.Integer(
        required=True,
        validate=validate.Range(min=0),
        metadata={"description": "calls to the provider so far"},
    )
    accepted_at = fields.AwareDateTime(required=True)
    updated_at = fields.AwareDateTime(required=True)
    send_at = fields.AwareDateTime(metadata={"description": "when it is to be sent, while it is scheduled"})
    reason = fields.String(metadata={"description": "why it failed"})


_REQUEST_ID = RequestIdSchema()


def parse_request_id(text: str | None) -> str:
    """The id in its canonical form. Raises InvalidRequest."""
    if not text:
        raise InvalidRequest("missing request_id")
    try:
        loaded: dict[str, str] = _REQUEST_ID.load({"request_id": text})
    except ValidationError:
        raise InvalidRequest("request_id is not a UUID") from None
    return loaded["request_id"]


def render_status(standing: Standing, *, provider_reports_deliveries: bool) -> dict[str, Any]:
    """``status`` is one of three words; ``detail`` is the exact state. Nothing private is in it."""
    status = fold(
        standing.state,
        provider_reports_deliveries=provider_reports_deliveries,
        is_unreported=standing.is_unreported,
    )
    is_unreported = standing.is_unreported and standing.state is State.SUBMITTED
    rendered = {
        "request_id": standing.email_id,
        "status": status.value,
        "detail": UNREPORTED if is_unreported else standing.state.value,
        "attempts": standing.attempts,
        "accepted_at": standing.accepted_at.isoformat(),
        "updated_at": standing.updated_at.isoformat(),
    }
    if standing.state is State.SCHEDULED:
        rendered["send_at"] = standing.due_at.isoformat()
    if standing.reason is not None:
        rendered["reason"] = standing.reason
    return rendered
