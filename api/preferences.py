"""What callers wish for in headers: ``Prefer`` (RFC 7240), ``Idempotency-Key``, ``x-batch-validation``."""

from collections.abc import Sequence

from marshmallow import Schema, fields, validate

from delivery.domain.errors import InvalidRequest
from delivery.domain.idempotency import LONGEST_KEY, check_key

MAX_WAIT = 10
"""Seconds. A longer wish is cut to this, and ``Preference-Applied`` says so."""


class SendHeadersSchema(Schema):
    """No more than what the functions below take; HTTP itself drops blanks at both ends of a value."""

    prefer = fields.String(
        data_key="Prefer",
        metadata={
            "description": f"such as wait=5: seconds to wait for the provider's answer, {MAX_WAIT} at most",
        },
    )
    idempotency_key = fields.String(
        data_key="Idempotency-Key",
        validate=validate.Regexp(r"^[!-~]([ -~]*[!-~])?$"),
        metadata={
            "description": "for 24 hours the same key and body get the same answer, and send nothing",
            "minLength": 1,
            "maxLength": LONGEST_KEY,
        },
    )


class EmailHeadersSchema(SendHeadersSchema):
    """Here nobody waits."""

    class Meta:
        exclude = ("prefer",)


class BatchHeadersSchema(EmailHeadersSchema):
    batch_validation = fields.String(
        data_key="x-batch-validation",
        validate=validate.OneOf(("strict", "permissive")),
        metadata={"description": "permissive: the valid emails are accepted without the others"},
    )


def wanted_wait(headers: Sequence[str]) -> int | None:
    """The ``wait`` preference in seconds; None without one. What can't be read is ignored (section 2)."""
    for header in headers:
        for preference in header.split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            digits = value.strip().strip('"')
            if name.strip().lower() == "wait" and digits.isascii() and digits.isdigit():
                return min(int(digits[:9]), MAX_WAIT)
    return None


def idempotency_key(header: str | None) -> str | None:
    """None without one. Raises InvalidRequest if it can't be a key."""
    return None if header is None else check_key(header)


def is_permissive(header: str | None) -> bool:
    """Whether a batch's valid emails are to be accepted without the others. Raises InvalidRequest."""
    match (header or "strict").strip().lower():
        case "strict":
            return False
        case "permissive":
            return True
        case _:
            raise InvalidRequest("x-batch-validation must be strict or permissive")
