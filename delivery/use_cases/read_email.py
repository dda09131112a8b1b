"""Read one email, with all that happened to it."""

from typing import Protocol

from delivery.domain.errors import UnknownEmail
from delivery.domain.readings import EmailReading


class EmailReadings(Protocol):
    def get(self, tenant_id: str, email_id: str) -> EmailReading | None: ...


def read_email(tenant_id: str, email_id: str, *, emails: EmailReadings) -> EmailReading:
    """An email of this tenant. Raises UnknownEmail, StoreUnavailable."""
    found = emails.get(tenant_id, email_id)
    if found is None:
        raise UnknownEmail(email_id)
    return found
