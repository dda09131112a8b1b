"""``email.ingest`` and ``email.ingest.critical``: what other services publish is accepted or refused."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from aio_pika.abc import AbstractIncomingMessage

from consumers.batch_consumer import BatchConsumer, Refusal
from consumers.ingest_message import keyed, read_ingest, reply_to
from consumers.settlement import until_store_answers
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.outbox import Outbox
from delivery.domain.emails import NewEmail
from delivery.domain.errors import InvalidRequest, KeyReused, NotAllowed, NotStored
from delivery.domain.idempotency import KeyRecord
from delivery.domain.tenants import Tenant
from delivery.use_cases.accept_emails import accept_emails
from delivery.use_cases.accept_once import AcceptOnce, KeyedRequest, Once
from delivery.use_cases.identify_callers import Publishers
from delivery.use_cases.messages import Outgoing

PREFETCH = 50
"""Of each queue. They are in memory before their size is known; the broker takes up to 13 MiB each."""

REUSED = "message_id was used before with other content"


@dataclass(frozen=True, slots=True)
class _Readable:
    message: AbstractIncomingMessage
    email: NewEmail
    keyed: KeyedRequest | None

    @property
    def record(self) -> KeyRecord:
        """Of those that have a key."""
        assert self.keyed is not None
        return self.keyed.record


def ingest_consumer(queue: str, parts: ConsumerParts, outbox: Outbox) -> BatchConsumer:
    publishers = Publishers(parts.store.tenants, clock=utc_now)

    async def work(batch: Sequence[AbstractIncomingMessage]) -> Sequence[Refusal]:
        users = {message.user_id for message in batch if message.user_id}
        tenants = await until_store_answers(lambda: publishers.of(users))
        # On a thread: a batch may be 50 bodies of the largest size, and critical emails wait for this loop.
        readable, refusals = await asyncio.to_thread(_read, batch, parts, tenants)
        accepted = await until_store_answers(lambda: _accept(readable, parts, outbox))
        refusals += accepted.refusals
        await _reply(readable, accepted.email_ids, refusals, parts)
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
            request = keyed(message, email, contract=parts.contract)
        except (InvalidRequest, NotAllowed) as error:
            refusals.append(Refusal(message, str(error)))
        else:
            readable.append(_Readable(message, email, request))
    return readable, refusals


def _accept(readable: Sequence[_Readable], parts: ConsumerParts, outbox: Outbox) -> "_Accepted":
    """Raises NotStored if the store did not take one: repeated one by one, the others are known by then."""
    accepted = _Accepted()
    _accept_plain([item for item in readable if item.keyed is None], accepted, parts, outbox)
    _accept_keyed([item for item in readable if item.keyed is not None], accepted, parts, outbox)
    return accepted


def _accept_plain(
    readable: Sequence[_Readable], accepted: "_Accepted", parts: ConsumerParts, outbox: Outbox
) -> None:
    """The id of an email is made from its message, so a resend finds the first one."""
    firsts: dict[str, NewEmail] = {}
    for item in readable:
        firsts.setdefault(item.email.email_id, item.email)
    if not firsts:
        return
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
    accepted.take(readable)
    accepted.refuse_reused(repeated, parts)


def _accept_keyed(
    readable: Sequence[_Readable], accepted: "_Accepted", parts: ConsumerParts, outbox: Outbox
) -> None:
    """Nobody can be told to wait here, so what another request began is finished at once.

    A message that is refused for its message_id must not use up its key: the same content would be answered
    under another message_id, and never sent. So that is looked at before there is a record of the key.
    """
    readable = _without_reused(readable, accepted, parts)
    if not readable:
        return
    accept_once = AcceptOnce(
        keys=parts.store.idempotency_keys,
        emails=parts.store.emails,
        hand_over=outbox.hand_over_from_thread,
        clock=utc_now,
        patience=timedelta.min,  # also what a process with a faster clock began
    )
    answers = accept_once([item.keyed for item in readable if item.keyed is not None])
    firsts = []
    for item, answer in zip(readable, answers, strict=True):
        if isinstance(answer, Once):
            accepted.email_ids[id(item.message)] = answer.email_ids[0]
            if not answer.is_replay:
                firsts.append(item)
        elif isinstance(answer, KeyReused):
            accepted.refusals.append(Refusal(item.message, str(answer)))
        else:
            raise answer
    accepted.refuse_reused(firsts, parts)  # another process may have been quicker with the message_id


def _without_reused(
    readable: Sequence[_Readable], accepted: "_Accepted", parts: ConsumerParts
) -> list[_Readable]:
    """Refuse those with a new key and a message_id that was used before with other content."""
    known, now = parts.store.idempotency_keys.find({item.record.record_id for item in readable}), utc_now()
    valid = {record_id for record_id, record in known.items() if not record.is_expired(now)}
    new = [item for item in readable if item.record.record_id not in valid]
    begun = [item for item in readable if item.record.record_id in valid]  # maybe without its email yet
    fingerprints = {item.email.email_id: item.record.fingerprint for item in begun}
    stored = _content_hashes(new, parts)
    reused = set()
    for item in new:
        email, fingerprint = item.email, item.record.fingerprint
        is_other = stored.get(email.email_id, email.content_hash) != email.content_hash
        if is_other or fingerprints.setdefault(email.email_id, fingerprint) != fingerprint:
            reused.add(id(item.message))
            accepted.refusals.append(Refusal(item.message, REUSED))
    return [item for item in readable if id(item.message) not in reused]


@dataclass(slots=True)
class _Accepted:
    """email_ids: by the identity of their messages."""

    email_ids: dict[int, str] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def take(self, readable: Sequence[_Readable]) -> None:
        self.email_ids.update({id(item.message): item.email.email_id for item in readable})

    def refuse_reused(self, repeated: Sequence[_Readable], parts: ConsumerParts) -> None:
        """Refuse those whose message_id was used before with other content."""
        hashes = _content_hashes(repeated, parts)
        for item in repeated:
            if hashes.get(item.email.email_id) != item.email.content_hash:
                self.refusals.append(Refusal(item.message, REUSED))


def _content_hashes(readable: Sequence[_Readable], parts: ConsumerParts) -> dict[str, str]:
    email_ids = {item.email.email_id for item in readable}
    return parts.store.emails.content_hashes(email_ids) if email_ids else {}


async def _reply(
    readable: Sequence[_Readable],
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
