"""Say what became of an email."""

from typing import Protocol

from delivery.domain.emails import Standing
from delivery.domain.errors import UnknownEmail


class EmailLookup(Protocol):
    def get(self, tenant_id: str, email_id: str) -> Standing | None: ...


def read_status(tenant_id: str, email_id: str, *, emails: EmailLookup) -> Standing:
    """Where an email of this tenant stands. Raises UnknownEmail, StoreUnavailable."""
    standing = emails.get(tenant_id, email_id)
    if standing is None:
        raise UnknownEmail(email_id)
    return standing
