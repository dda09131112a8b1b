"""From a body of ``POST /send`` to what is committed, whichever way the request takes."""

from datetime import datetime

from delivery.bootstrap import new_email_id
from delivery.contract.send import SendContract
from delivery.domain.emails import NewEmail
from delivery.domain.idempotency import KeyRecord, record_id
from delivery.domain.tenants import Tenant
from delivery.use_cases.accept_once import KeyedRequest


def new_email(
    contract: SendContract, body: bytes, *, tenant: Tenant, now: datetime, says_why: bool = True
) -> NewEmail:
    """Raises InvalidRequest (ComesTooLate where it is only that) and NotAllowed. says_why: as parse()."""
    email = NewEmail(
        email_id=new_email_id(),
        tenant_id=tenant.tenant_id,
        request=contract.parse(body, now=now, says_why=says_why),
        accepted_at=now,
    )
    tenant.check(email.request)
    return email


def keyed_request(contract: SendContract, body: bytes, *, email: NewEmail, key: str) -> KeyedRequest:
    """key: the caller's, already checked."""
    record = KeyRecord(
        record_id=record_id(email.tenant_id, key),
        tenant_id=email.tenant_id,
        fingerprint=contract.fingerprint(body),
        email_ids=(email.email_id,),
        created_at=email.accepted_at,
    )
    return KeyedRequest(record=record, emails=(email,))
