"""What GET /status answers."""

import uuid
from typing import Any

from delivery.domain.emails import Standing
from delivery.domain.errors import InvalidRequest
from delivery.domain.states import State, fold

UNREPORTED = "unreported"
"""The detail of an email that was submitted, and whose report never came."""


def parse_request_id(text: str | None) -> str:
    """The id in its canonical form. Raises InvalidRequest."""
    if not text:
        raise InvalidRequest("missing request_id")
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        raise InvalidRequest("request_id is not a UUID") from None
    if str(parsed) != text.lower():  # uuid takes braces, underscores and any script's digits, too
        raise InvalidRequest("request_id is not a UUID")
    return str(parsed)


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
