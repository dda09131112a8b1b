"""The messages between our own parts, as they are published: ``{"id", "gen"}`` and nothing private."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from delivery.domain.delays import DelayStep
from delivery.domain.errors import InvalidRequest
from delivery.domain.owed import OwedEmail, OwedTo, route
from topology import names

HeaderValue = str | int


class Verdict(StrEnum):
    """What became of a publish. An unknown one belongs to the relay, never to an inline retry.

    RETURNED: it was mandatory, and there was no queue for it: nobody has it. What is refused for another
    reason, one of several queues may have.
    """

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    RETURNED = "returned"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to publish. ``mandatory``: what has no queue is returned rather than dropped.

    expects_queue: that it has none is a fault; without it, the sender of a mandatory one wants to know.

    lane_key: of the lane that an email's message is for, now or after a delay. A tenant's must be there by
    then, and there is none before its first email.
    """

    exchange: str
    routing_key: str
    body: bytes
    priority: int = 0
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    content_type: str | None = "application/json"
    correlation_id: str | None = None
    mandatory: bool = True
    expects_queue: bool = True
    lane_key: str | None = None


@dataclass(frozen=True, slots=True)
class EmailMessage:
    """What a message between our own parts says: an email, and the generation it was meant for."""

    email_id: str
    gen: int


def encode_email(email_id: str, gen: int) -> bytes:
    return b'{"id":"%b","gen":%d}' % (email_id.encode(), gen)


_EMAIL_MESSAGE = re.compile(rb'\{"id":"([0-9a-f-]{36})","gen":([0-9]{1,9})\}')


def decode_email(body: bytes) -> EmailMessage:
    """Parse ``{"id", "gen"}``. Raises InvalidRequest for anything else, whoever moved it into our queues."""
    match = _EMAIL_MESSAGE.fullmatch(body)
    if match is None:
        body = _compact(body)  # spaces and order are the writer's
        match = _EMAIL_MESSAGE.fullmatch(body)
    if match is None:
        raise InvalidRequest("not an email message")
    return EmailMessage(match[1].decode(), int(match[2]))


def _compact(body: bytes) -> bytes:
    try:
        parsed = json.loads(body)
        return json.dumps({"id": parsed["id"], "gen": parsed["gen"]}, separators=(",", ":")).encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidRequest("not an email message") from error


def encode_events(event_ids: Sequence[str]) -> bytes:
    """One event says it as it always did; several are named together."""
    named = {"ids": event_ids} if len(event_ids) != 1 else {"id": event_ids[0]}
    return json.dumps(named).encode()


_EVENT_ID = re.compile(r"[a-z0-9][a-z0-9-]*:[!-~]+")
"""``<provider>:<the provider's id or a hash>``, as ProviderEvent.event_id makes it."""


def decode_events(body: bytes) -> list[str]:
    """Parse ``{"id"}`` or ``{"ids"}`` of provider events. Raises InvalidRequest for anything else.

    The id of an email is none: a letter moved here by mistake must be kept, not dropped as applied.
    """
    try:
        named = json.loads(body)
        event_ids = named["ids"] if "ids" in named else [named["id"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidRequest("not an event message") from error
    if not isinstance(event_ids, list) or not event_ids or not all(map(_is_event_id, event_ids)):
        raise InvalidRequest("not an event message")
    return event_ids


def _is_event_id(value: object) -> bool:
    return isinstance(value, str) and _EVENT_ID.fullmatch(value) is not None


def email_message(owed: OwedEmail, *, now: datetime, steps: tuple[DelayStep, ...]) -> Outgoing:
    """The message that an email owes, addressed for this moment."""
    to = route(owed, now=now, steps=steps)
    is_letter = owed.to in (OwedTo.DEAD, OwedTo.HELD)
    return Outgoing(
        exchange=names.delay_exchange(to.delay.name) if to.delay else names.EMAIL_EXCHANGE,
        routing_key=to.routing_key,
        body=encode_email(owed.email_id, owed.gen),
        priority=to.priority,
        headers=_letter_headers(owed) if is_letter else {},
        lane_key=None if is_letter else to.routing_key,
    )


def events_message(event_ids: Sequence[str]) -> Outgoing:
    """The message that these events owe together."""
    return Outgoing(
        exchange=names.EMAIL_EXCHANGE,
        routing_key=names.PROVIDER_EVENT_KEY,
        body=encode_events(event_ids),
    )


def _letter_headers(owed: OwedEmail) -> dict[str, HeaderValue]:
    """What an operator sees of a parked email; no header begins with ``x-``, those are the broker's."""
    headers: dict[str, HeaderValue] = {
        "reason": owed.reason or "",
        "attempts": owed.attempts,
        "last_error": owed.last_error or "",
        "lane": owed.lane.value,
        "accepted_at": owed.accepted_at.isoformat(),
    }
    if owed.died_at is not None:
        headers["died_at"] = owed.died_at.isoformat()
    return headers
