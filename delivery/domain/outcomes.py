"""What one call to a provider came to."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    MISCONFIGURED = "misconfigured"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """An outcome, why (a short text without anything private), and how long the provider asks to wait.

    is_probe: the call was made to see whether the provider is back. That it is not spends no attempt.
    """

    outcome: Outcome
    detail: str
    retry_after: timedelta | None = None
    is_probe: bool = False
