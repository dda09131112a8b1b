"""``email.ingest`` and ``email.ingest.critical``: what other services publish is accepted or refused."""

import asyncio
import json
from collections.abc import Mapping, Sequence

from aio_pika.abc import AbstractIncomingMessage

from consumers.batch_consumer import BatchConsumer, Refusal
from consumers.ingest_accepting import Readable, accept
from consumers.ingest_message import keyed, read_ingest, reply_to
from consumers.settlement import until_store_answers
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.outbox import Outbox
from delivery.domain.errors import InvalidRequest, NotAllowed
from delivery.domain.tenants import Tenant
from delivery.use_cases.identify_callers import Publishers
from delivery.use_cases.messages import Outgoing

PREFETCH = 50
"""Of each queue. They are in memory before their size is known; the broker takes up to 13 MiB each."""


def ingest_consumer(queue: str, parts: ConsumerParts, outbox: Outbox) -> BatchConsumer:
    publishers = Publishers(parts.store.tenants, clock=utc_now)

    async def work(batch: Sequence[AbstractIncomingMessage]) -> Sequence[Refusal]:
        users = {message.user_id for message in batch if message.user_id}
        tenants = await until_store_answers(lambda: publishers.of(users))
        # On a thread: a batch may be 50 bodies of the largest size, and critical emails wait for this loop.
        readable, refusals = await asyncio.to_thread(_read, batch, parts, tenants)
        accepted = await until_store_answers(lambda: accept(readable, parts, outbox))
        refusals += accepted.refusals
        await _reply(readable, accepted.email_ids, refusals, parts)
        return refusals

    return BatchConsumer(
        queue, prefetch=PREFETCH, work=work, publisher=parts.publisher, topology=parts.topology
    )


def _read(
    batch: Sequence[AbstractIncomingMessage], parts: ConsumerParts, tenants: Mapping[str, Tenant]
) -> tuple[list[Readable], list[Refusal]]:
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
            request = keyed(message, email, contract=parts.contract)
        except (InvalidRequest, NotAllowed) as error:
            refusals.append(Refusal(message, str(error)))
        else:
            readable.append(Readable(message, email, request))
    return readable, refusals


async def _reply(
    readable: Sequence[Readable],
    email_ids: Mapping[int, str],
    refusals: Sequence[Refusal],
    parts: ConsumerParts,
) -> None:
    """Answer those who asked; a reply that fails changes nothing."""
    denied = {id(refusal.message) for refusal in refusals}
    replies = [
        _answer(item.message, status="accepted", request_id=email_ids[id(item.message)])
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
