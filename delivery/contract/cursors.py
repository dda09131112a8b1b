"""Where a page of a list ends, as an opaque text that callers hand back."""

import base64
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from marshmallow import fields

from delivery.contract.fields import JsonSchema
from delivery.domain.readings import Place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(r"([0-9]{1,14}):([0-9a-f-]{36})")


def write_cursor(place: Place) -> str:
    """In base64url without padding: the milliseconds of the epoch, and the email's id."""
    milliseconds = (place.at - _EPOCH) // timedelta(milliseconds=1)
    return base64.urlsafe_b64encode(f"{milliseconds}:{place.email_id}".encode()).decode().rstrip("=")


class CursorField(fields.Field[Place]):
    """A ``nextCursor`` that was answered before."""

    default_error_messages = {"cursor": "is not a nextCursor"}  # noqa: RUF012

    json_schema: ClassVar[JsonSchema] = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Place:
        try:
            text = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True).decode()
            match = _FORM.fullmatch(text)
            if match is None:
                raise ValueError(text)
            return Place(_EPOCH + timedelta(milliseconds=int(match[1])), str(uuid.UUID(match[2])))
        except (ValueError, TypeError, OverflowError):
            raise self.make_error("cursor") from None
