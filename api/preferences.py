"""What a caller may wish for in headers: ``Prefer`` (RFC 7240) and ``Idempotency-Key``."""

from collections.abc import Sequence

from marshmallow import Schema, fields, validate

from delivery.domain.idempotency import LONGEST_KEY, check_key

MAX_WAIT = 10
"""Seconds. A longer wish is cut to this, and ``Preference-Applied`` says so."""


class SendHeadersSchema(Schema):
    """No more than what the functions below take; HTTP itself drops blanks at both ends of a value."""

    prefer = fields.String(
        data_key="Prefer",
        metadata={
            "description": f"wait=<seconds>: wait for the provider's answer, {MAX_WAIT} s at most (RFC 7240)",
            "example": "wait=1",
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
