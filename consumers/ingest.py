"""``email.ingest`` and ``email.ingest.critical``: what other services publish is accepted or refused."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from consumers.batch_consumer import BatchConsumer, Refusal
from consumers.ingest_accepting import Readable, accept, known
from consumers.ingest_message import keyed, read_ingest, reply_to
from consumers.settlement import until_store_answers
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.delivery import Message
from delivery.broker.outbox import Outbox
from delivery.domain.errors import ComesTooLate, InvalidRequest, NotAllowed
from delivery.domain.tenants import Tenant
from delivery.use_cases.identify_callers import Publishers
from delivery.use_cases.messages import Outgoing

PREFETCH = 50
"""Of each queue. They are in memory before their size is known; the broker takes up to 13 MiB each."""


def ingest_consumer(queue: str, parts: ConsumerParts, outbox: Outbox) -> BatchConsumer:
    publishers = Publishers(parts.store.tenants, clock=utc_now)

    async def work(batch: Sequence[Message]) -> Sequence[Refusal]:
        users = {message.user_id for message in batch if message.user_id}
        tenants = await until_store_answers(lambda: publishers.of(users))
        # On a thread: a batch may be 50 bodies of the largest size, and critical emails wait for this loop.
        read = await asyncio.to_thread(_read, batch, parts, tenants)
        accepted = await until_store_answers(lambda: accept(read.readable, parts, outbox))
        accepted_before = await until_store_answers(lambda: known(read.late, parts))
        email_ids = accepted.email_ids | accepted_before.email_ids
        refusals = read.refusals + accepted.refusals + accepted_before.refusals
        await _reply(batch, email_ids, refusals, parts)
        return refusals

    return BatchConsumer(
        queue, prefetch=PREFETCH, work=work, publisher=parts.publisher, topology=parts.topology
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """late: refusals of what came after its expires_at, unless it was accepted in time and comes again."""

    readable: list[Readable] = field(default_factory=list)
    late: list[Refusal] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def _read(batch: Sequence[Message], parts: ConsumerParts, tenants: Mapping[str, Tenant]) -> _Read:
    now, read = utc_now(), _Read()
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
        except ComesTooLate as error:
            read.late.append(Refusal(message, str(error)))
        except (InvalidRequest, NotAllowed) as error:
            read.refusals.append(Refusal(message, str(error)))
        else:
            read.readable.append(Readable(message, email, request))
    return read


async def _reply(
    batch: Sequence[Message],
    email_ids: Mapping[int, str],
    refusals: Sequence[Refusal],
    parts: ConsumerParts,
) -> None:
    """Answer those who asked; a reply that fails changes nothing."""
    denied = {id(refusal.message) for refusal in refusals}
    replies = [
        _answer(message, status="accepted", request_id=email_ids[id(message)])
        for message in batch
        if id(message) not in denied
    ]
    replies += [_answer(refusal.message, status="denied", reason=refusal.reason) for refusal in refusals]
    await parts.replies.publish([reply for reply in replies if reply is not None])


def _answer(message: Message, **body: str) -> Outgoing | None:
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
