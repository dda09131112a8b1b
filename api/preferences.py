"""The ``Prefer`` header, RFC 7240."""

from collections.abc import Sequence

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
