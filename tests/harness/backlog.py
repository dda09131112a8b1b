"""Many emails that wait in their lane, put there without as many requests."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import aio_pika

from delivery.bootstrap import new_email_id
from delivery.domain.emails import DEFAULT_TENANT, Content, EmailRequest, NewEmail
from delivery.domain.lanes import Lane
from delivery.domain.tenant_lanes import TenantLane
from delivery.store.email_documents import new_document
from delivery.use_cases.messages import encode_email
from tests.harness.amqp import Outgoing
from tests.harness.broker import VirtualHost
from tests.harness.store import Document, StoreDatabase
from topology.declare import declare
from topology.definition import postroom_topology, with_tenants
from topology.names import EMAIL_EXCHANGE

_BATCH = 1000


def put_backlog(
    database: StoreDatabase,
    vhost: VirtualHost,
    count: int,
    *,
    lane: Lane,
    recipient: str,
    tenant_id: str = DEFAULT_TENANT,
) -> None:
    """As accepting and publishing leave them: stored, with nothing owed, and their messages in the lane."""
    place = TenantLane(lane, tenant_id)
    asyncio.run(_declare(vhost.url, place))
    for number in _batches(count):
        documents = [published_document(lane, recipient, tenant_id) for _ in range(number)]
        database["emails"].insert_many(documents, ordered=False)
        messages = [
            Outgoing(
                body=encode_email(document["_id"], document["gen"]),
                priority=document["priority"],
                timestamp=document["accepted_at"],
            )
            for document in documents
        ]
        vhost.amqp.publish(EMAIL_EXCHANGE, place.key, messages)


async def _declare(url: str, place: TenantLane) -> None:
    """A tenant's queue comes with its first email."""
    async with await aio_pika.connect(url) as connection:
        await declare(connection, with_tenants(postroom_topology(), keys=[place.key]))


def put_scheduled(
    database: StoreDatabase, count: int, *, lane: Lane, recipient: str, send_at: datetime
) -> list[str]:
    """Emails that are to be sent at this time, as accepting leaves them; returns their ids."""
    request = EmailRequest(
        content=Content(sender="shop@example.com", recipient=recipient, message="hello"),
        lane=lane,
        send_at=send_at,
    )
    email_ids: list[str] = []
    for number in _batches(count):
        documents = [_stored(request, DEFAULT_TENANT) for _ in range(number)]
        database["emails"].insert_many(documents, ordered=False)
        email_ids += [document["_id"] for document in documents]
    return email_ids


def _batches(count: int) -> Iterator[int]:
    for start in range(0, count, _BATCH):
        yield min(_BATCH, count - start)


def published_document(
    lane: Lane, recipient: str, tenant_id: str = DEFAULT_TENANT, *, message: str = "hello"
) -> Document:
    """An email as accepting and publishing leave it."""
    request = EmailRequest(
        content=Content(sender="shop@example.com", recipient=recipient, message=message), lane=lane
    )
    document = _stored(request, tenant_id)
    del document["owed"]
    document["published"] = {"at": document["accepted_at"], "priority": request.priority}
    return document


def _stored(request: EmailRequest, tenant_id: str) -> Document:
    email = NewEmail(
        email_id=new_email_id(), tenant_id=tenant_id, request=request, accepted_at=datetime.now(UTC)
    )
    return new_document(email, hash_key=b"nobody looks these up")
