"""Which emails of a request may be accepted: each is valid by itself, and is its tenant's to send."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from delivery.domain.emails import EmailRequest
from delivery.domain.errors import InvalidRequest, NotAllowed, PostroomError
from delivery.domain.tenants import Tenant


class OwnEmails(Protocol):
    def own(self, tenant_id: str, email_ids: Iterable[str]) -> set[str]:
        """Those of these emails that are this tenant's."""
        ...


@dataclass(frozen=True, slots=True)
class Admission:
    """The requests that may be accepted, and why the others may not, by their places. In order."""

    admitted: tuple[EmailRequest, ...]
    refused: dict[int, InvalidRequest | NotAllowed]


def admit_emails(
    parsed: Sequence[EmailRequest | InvalidRequest], *, tenant: Tenant, emails: OwnEmails
) -> Admission:
    """parsed: for each item the request, or why it is none. Raises StoreUnavailable."""
    answered = {
        request.content.in_reply_to
        for request in parsed
        if isinstance(request, EmailRequest) and request.content.in_reply_to is not None
    }
    own = emails.own(tenant.tenant_id, answered) if answered else set()
    admitted: list[EmailRequest] = []
    refused: dict[int, InvalidRequest | NotAllowed] = {}
    for index, request in enumerate(parsed):
        fault = request if isinstance(request, PostroomError) else _fault(request, tenant=tenant, own=own)
        if fault is not None:
            refused[index] = fault
        elif isinstance(request, EmailRequest):
            admitted.append(request)
    return Admission(tuple(admitted), refused)


def _fault(request: EmailRequest, *, tenant: Tenant, own: set[str]) -> InvalidRequest | NotAllowed | None:
    try:
        tenant.check(request)
    except NotAllowed as error:
        return error
    if request.content.in_reply_to is not None and request.content.in_reply_to not in own:
        return InvalidRequest("inReplyToId is the id of no email that was sent before")
    return None
