"""What was published to ``email.ingest`` is stored: once, under whichever id and key it comes again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from consumers.batch_consumer import Refusal
from consumers.ingest_message import content_hash_of, email_id_of
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.delivery import Message
from delivery.broker.outbox import Outbox
from delivery.domain.emails import NewEmail
from delivery.domain.errors import KeyReused, NotStored
from delivery.domain.idempotency import KeyRecord
from delivery.use_cases.accept_emails import accept_emails
from delivery.use_cases.accept_once import AcceptOnce, KeyedRequest, Once

REUSED = "message_id was used before with other content"


@dataclass(frozen=True, slots=True)
class Readable:
    """A message that says what to send. keyed: where it has an idempotency key."""

    message: Message
    email: NewEmail
    keyed: KeyedRequest | None

    @property
    def record(self) -> KeyRecord:
        """Of those that have a key."""
        assert self.keyed is not None
        return self.keyed.record


@dataclass(slots=True)
class Accepted:
    """email_ids: by the identity of their messages."""

    email_ids: dict[int, str] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def take(self, readable: Sequence[Readable]) -> None:
        self.email_ids.update({id(item.message): item.email.email_id for item in readable})

    def refuse_reused(self, repeated: Sequence[Readable], parts: ConsumerParts) -> None:
        """Refuse those whose message_id was used before with other content."""
        hashes = _content_hashes(repeated, parts)
        for item in repeated:
            if hashes.get(item.email.email_id) != item.email.content_hash:
                self.refusals.append(Refusal(item.message, REUSED))


def accept(readable: Sequence[Readable], parts: ConsumerParts, outbox: Outbox) -> Accepted:
    """Raises NotStored if the store did not take one: repeated one by one, the others are known by then."""
    accepted = Accepted()
    _accept_plain([item for item in readable if item.keyed is None], accepted, parts, outbox)
    _accept_keyed([item for item in readable if item.keyed is not None], accepted, parts, outbox)
    return accepted


def known(late: Sequence[Refusal], parts: ConsumerParts) -> Accepted:
    """What came too late, but had been accepted in time: whoever publishes it again hears so again."""
    accepted = Accepted()
    email_ids = {id(refusal.message): email_id_of(refusal.message) for refusal in late}
    hashes = parts.store.emails.content_hashes(set(email_ids.values())) if late else {}
    for refusal in late:
        email_id = email_ids[id(refusal.message)]
        if hashes.get(email_id) == content_hash_of(refusal.message):
            accepted.email_ids[id(refusal.message)] = email_id
        else:
            accepted.refusals.append(refusal)
    return accepted


def _accept_plain(
    readable: Sequence[Readable], accepted: Accepted, parts: ConsumerParts, outbox: Outbox
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
    readable: Sequence[Readable], accepted: Accepted, parts: ConsumerParts, outbox: Outbox
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


def _without_reused(readable: Sequence[Readable], accepted: Accepted, parts: ConsumerParts) -> list[Readable]:
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


def _content_hashes(readable: Sequence[Readable], parts: ConsumerParts) -> dict[str, str]:
    email_ids = {item.email.email_id for item in readable}
    return parts.store.emails.content_hashes(email_ids) if email_ids else {}
