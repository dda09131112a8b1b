"""What another service published to ``email.ingest``, read and checked."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from delivery.broker.delivery import Message
from delivery.contract.send import SendContract
from delivery.domain.derived_ids import derived_email_id
from delivery.domain.emails import DEFAULT_TENANT, NewEmail
from delivery.domain.errors import InvalidRequest
from delivery.domain.idempotency import KeyRecord, check_key, record_id
from delivery.domain.lanes import Lane
from delivery.domain.tenants import Tenant
from delivery.use_cases.accept_once import KeyedRequest
from topology import names

_DIRECT_REPLY_TO = re.compile(r"amq\.rabbitmq\.reply-to\.([A-Za-z0-9+/=]+)\.([A-Za-z0-9+/=]+)")
"""What the broker makes of ``amq.rabbitmq.reply-to``: a process and a key, each in base64. A reply to
anything else of this beginning breaks the broker's channel. https://www.rabbitmq.com/docs/direct-reply-to"""

MAX_MESSAGE_ID = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTo:
    """Where the accepted or denied answer goes."""

    queue: str
    correlation_id: str | None


def reply_to(message: Message) -> ReplyTo | None:
    """Where to reply; None when nobody asked, or asked for a queue that may not be theirs."""
    queue = message.reply_to
    if not queue or not _may_reply_to(queue, user=message.user_id):
        return None
    return ReplyTo(queue=queue, correlation_id=message.correlation_id)


def read_ingest(
    message: Message,
    *,
    tenants: Mapping[str, Tenant],
    contract: SendContract,
    max_body_bytes: int,
    now: datetime,
) -> NewEmail:
    """Read one message. tenants: by the broker's user.

    Raises InvalidRequest or NotAllowed with the reason for which it is refused: ComesTooLate, where only its
    time is over.
    """
    if not message.user_id:  # RabbitMQ has checked that it is the publisher's own
        raise InvalidRequest("missing user_id property")
    _check_properties(message)
    if len(message.body) > max_body_bytes:
        raise InvalidRequest(f"body is larger than {max_body_bytes} bytes")
    tenant = tenants[message.user_id]
    lane = _lane(message.routing_key)
    request = contract.parse(message.body, now=now, lane=lane)
    tenant.check(request)
    return NewEmail(
        email_id=email_id_of(message),
        tenant_id=tenant.tenant_id,
        request=request,
        accepted_at=now,
        content_hash=content_hash(message.body, lane=lane),
    )


def keyed(message: Message, email: NewEmail, *, contract: SendContract) -> KeyedRequest | None:
    """The message's email under its idempotency key; None without one. Raises InvalidRequest."""
    key = _key(message)
    if key is None:
        return None
    record = KeyRecord(
        record_id=record_id(email.tenant_id, key),
        tenant_id=email.tenant_id,
        fingerprint=contract.fingerprint(message.body, lane=email.request.lane),
        email_ids=(email.email_id,),
        created_at=email.accepted_at,
    )
    return KeyedRequest(record=record, emails=(email,))


def _key(message: Message) -> str | None:
    """Whoever gives one relies on it, so a name in other letters, as over HTTP, is not passed over."""
    given = [key for name, key in message.headers.items() if name.lower() == names.IDEMPOTENCY_KEY_HEADER]
    if not given:
        return None
    if len(given) > 1 or not isinstance(given[0], str):
        raise InvalidRequest(f"{names.IDEMPOTENCY_KEY_HEADER} header must be one string")
    return check_key(given[0])


def content_hash_of(message: Message) -> str:
    """What a resend must have in common with the message it repeats. Raises InvalidRequest without a lane."""
    return content_hash(message.body, lane=_lane(message.routing_key))


def content_hash(body: bytes, *, lane: Lane) -> str:
    """Of the body and the lane of its key."""
    return hashlib.sha256(lane.encode() + b"\0" + body).hexdigest()


def _check_properties(message: Message) -> None:
    message_id = message.message_id
    if not message_id:
        raise InvalidRequest("missing message_id property")
    if len(message_id) > MAX_MESSAGE_ID or not message_id.isprintable():
        raise InvalidRequest(f"message_id must be at most {MAX_MESSAGE_ID} printable characters")
    if message.content_type not in (None, "", "application/json"):
        raise InvalidRequest("content_type must be application/json")
    for header in ("CC", "BCC"):
        if header in message.headers:
            raise InvalidRequest(f"{header} header is not allowed: to the broker it is a routing key")
    if message.reply_to and not _may_reply_to(message.reply_to, user=message.user_id):
        raise InvalidRequest("reply_to must be amq.rabbitmq.reply-to or begin with reply.<user>.")


def _may_reply_to(queue: str, *, user: str | None) -> bool:
    return _is_direct(queue) or (user is not None and queue.startswith(names.reply_queue_prefix(user)))


def _is_direct(queue: str) -> bool:
    match = _DIRECT_REPLY_TO.fullmatch(queue)
    if match is None:
        return False
    try:
        return all(base64.b64decode(part, validate=True) for part in match.groups())
    except ValueError:
        return False


def _lane(routing_key: str | None) -> Lane:
    word = (routing_key or "").partition(".")[0]
    try:
        return Lane(word)
    except ValueError:
        raise InvalidRequest(f"the routing key must begin with {', '.join(Lane)}") from None


def email_id_of(message: Message) -> str:
    """Always the same for the same message, so that a resend finds the email it made before.

    Also when its user is given to another tenant meanwhile: in place of the tenant there is a constant.
    """
    return derived_email_id(DEFAULT_TENANT, message.user_id or "", message.message_id or "")
