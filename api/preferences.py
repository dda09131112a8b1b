"""What a caller may wish for in headers: ``Prefer`` (RFC 7240) and ``Idempotency-Key``."""

from collections.abc import Sequence

from delivery.domain.idempotency import check_key

MAX_WAIT = 10
"""Seconds. A longer wish is cut to this, and ``Preference-Applied`` says so."""


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
