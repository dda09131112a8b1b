"""``email.ingest`` and ``email.ingest.critical``: what other services publish is accepted or refused."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aio_pika.abc import AbstractIncomingMessage

from consumers.batch_consumer import BatchConsumer, Refusal
from consumers.ingest_message import read_ingest, reply_to
from consumers.settlement import until_store_answers
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.outbox import Outbox
from delivery.domain.emails import NewEmail
from delivery.domain.errors import InvalidRequest, NotAllowed, NotStored
from delivery.domain.tenants import Tenant
from delivery.use_cases.accept_emails import accept_emails
from delivery.use_cases.identify_callers import Publishers
from delivery.use_cases.messages import Outgoing

PREFETCH = 50
"""Of each queue. They are in memory before their size is known; the broker takes up to 13 MiB each."""

REUSED = "message_id was used before with other content"


@dataclass(frozen=True, slots=True)
class _Readable:
    message: AbstractIncomingMessage
    email: NewEmail


def ingest_consumer(queue: str, parts: ConsumerParts, outbox: Outbox) -> BatchConsumer:
    publishers = Publishers(parts.store.tenants, clock=utc_now)

    async def work(batch: Sequence[AbstractIncomingMessage]) -> Sequence[Refusal]:
        users = {message.user_id for message in batch if message.user_id}
        tenants = await until_store_answers(lambda: publishers.of(users))
        # On a thread: a batch may be 50 bodies of the largest size, and critical emails wait for this loop.
        readable, refusals = await asyncio.to_thread(_read, batch, parts, tenants)
        reused = await until_store_answers(lambda: _accept(readable, parts, outbox))
        refusals += [Refusal(item.message, REUSED) for item in reused]
        await _reply(readable, refusals, parts)
        return refusals

    return BatchConsumer(
        queue, prefetch=PREFETCH, work=work, publisher=parts.publisher, topology=parts.topology
    )


def _read(
    batch: Sequence[AbstractIncomingMessage], parts: ConsumerParts, tenants: Mapping[str, Tenant]
) -> tuple[list[_Readable], list[Refusal]]:
    now = utc_now()
    readable, refusals = [], []
    for message in batch:
        try:
            email = read_ingest(
                message,
                tenants=tenants,
                contract=parts.contract,
                max_body_bytes=parts.config.api.max_body_bytes,
                now=now,
            )
        except (InvalidRequest, NotAllowed) as error:
            refusals.append(Refusal(message, str(error)))
        else:
            readable.append(_Readable(message, email))
    return readable, refusals


def _accept(readable: Sequence[_Readable], parts: ConsumerParts, outbox: Outbox) -> list[_Readable]:
    """Accept; returns those whose message_id was used before with other content.

    Raises NotStored if the store did not take one of them: repeated one by one, the others are known by then.
    """
    firsts: dict[str, NewEmail] = {}
    for item in readable:
        firsts.setdefault(item.email.email_id, item.email)
    if not firsts:
        return []
    inserted = accept_emails(
        list(firsts.values()), emails=parts.store.emails, hand_over=outbox.hand_over_from_thread
    )
    if inserted.failed:
        raise NotStored(f"{len(inserted.failed)} of {len(firsts)}")
    repeated = [
        item
        for item in readable
        if item.email.email_id in inserted.known or item.email is not firsts[item.email.email_id]
    ]
    if not repeated:
        return []
    hashes = _content_hashes([item.email for item in repeated], parts)
    return [item for item in repeated if hashes.get(item.email.email_id) != item.email.content_hash]


def _content_hashes(emails: Sequence[NewEmail], parts: ConsumerParts) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for tenant_id in {email.tenant_id for email in emails}:
        email_ids = {email.email_id for email in emails if email.tenant_id == tenant_id}
        hashes |= parts.store.emails.content_hashes(tenant_id, email_ids)
    return hashes


async def _reply(readable: Sequence[_Readable], refusals: Sequence[Refusal], parts: ConsumerParts) -> None:
    """Answer those who asked; a reply that fails changes nothing."""
    denied = {id(refusal.message) for refusal in refusals}
    replies = [
        _answer(item.message, status="accepted", request_id=item.email.email_id)
        for item in readable
        if id(item.message) not in denied
    ]
    replies += [_answer(refusal.message, status="denied", reason=refusal.reason) for refusal in refusals]
    await parts.replies.publish([reply for reply in replies if reply is not None])


def _answer(message: AbstractIncomingMessage, **body: str) -> Outgoing | None:
    to = reply_to(message)
    if to is None:
        return None
    return Outgoing(
        exchange="",
        routing_key=to.queue,
        body=json.dumps(body).encode(),
        correlation_id=to.correlation_id,
        # The broker returns a mandatory message to direct reply-to even though it delivers it; and whose
        # queue is gone has lost interest.
        mandatory=False,
    )
