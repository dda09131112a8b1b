"""What a provider tells about an email through its webhook."""

from dataclasses import dataclass
from datetime import datetime

from delivery.domain.reports import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """One report, as parsed from the provider's own format.

    provider_event_id: the provider's id of this event; where it has none, a hash of the content, so that a
    repeated delivery is the same event. recipient: whom it is about, where the provider says so.
    """

    provider: str
    provider_event_id: str
    email_id: str
    report: Report
    raw: str
    recipient: str | None = None

    @property
    def event_id(self) -> str:
        """Unique over all providers; the key under which the event is stored."""
        return f"{self.provider}:{self.provider_event_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvent:
    """A stored event that has not been applied to its email yet.

    recipient: the keyed hash of the address it is about, where the provider says so.
    """

    event_id: str
    email_id: str
    report: Report
    received_at: datetime
    recipient: str | None = None
