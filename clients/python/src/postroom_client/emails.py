"""What is handed over, and what is heard of it."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """content: the bytes of the file."""

    filename: str
    content: bytes
    content_type: str | None = None

    def as_json(self) -> Json:
        encoded = base64.b64encode(self.content).decode("ascii")
        return _without_none(
            {"filename": self.filename, "content": encoded, "contentType": self.content_type}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """An email for ``Postroom.emails``. text, html or both.

    ttl: seconds, from now or from scheduled_at. Times are aware. Which of these fields the mail provider can
    carry is a matter of postroom's configuration; one that it can't is refused by name.
    """

    to: str | Sequence[str]
    sender: str
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    cc: str | Sequence[str] = ()
    bcc: str | Sequence[str] = ()
    reply_to: str | Sequence[str] = ()
    headers: Mapping[str, str] | None = None
    attachments: Sequence[Attachment] = ()
    in_reply_to_id: str | None = None
    scheduled_at: datetime | None = None
    lane: str | None = None
    priority: int | None = None
    ttl: int | None = None
    expires_at: datetime | None = None

    def as_json(self) -> Json:
        """The body that postroom's API takes. Raises ValueError for a time without a time zone."""
        return _without_none(
            {
                "to": _addresses(self.to),
                "from": self.sender,
                "subject": self.subject,
                "text": self.text,
                "html": self.html,
                "cc": _addresses(self.cc),
                "bcc": _addresses(self.bcc),
                "replyTo": _addresses(self.reply_to),
                "headers": dict(self.headers) if self.headers else None,
                "attachments": [attachment.as_json() for attachment in self.attachments] or None,
                "inReplyToId": self.in_reply_to_id,
                "scheduledAt": in_utc(self.scheduled_at),
                "lane": self.lane,
                "priority": self.priority,
                "ttl": self.ttl,
                "expires_at": in_utc(self.expires_at),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainEmail:
    """An email for ``AmqpSender``: one recipient, one text.

    ttl, unknown_deadline: seconds. on_unknown: "resend" or "hold". Times are aware.
    """

    sender: str
    recipient: str
    message: str
    subject: str | None = None
    text: str | None = None
    priority: int | None = None
    ttl: int | None = None
    expires_at: datetime | None = None
    send_at: datetime | None = None
    on_unknown: str | None = None
    unknown_deadline: int | None = None

    def as_bytes(self) -> bytes:
        """Always the same for the same email: postroom compares what comes again under a message_id."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        times = {name: in_utc(value) for name, value in values.items() if isinstance(value, datetime)}
        return json.dumps(_without_none({**values, **times}), sort_keys=True).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An email of a permissive batch that was not accepted. index: its place in the batch, from 0."""

    index: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What became of a batch: for each email, in its order, its id or None; and why there is none."""

    email_ids: tuple[str | None, ...]
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailState:
    """Where an email stands. state: postroom's word, such as queued, submitted or delivered.

    status: the word of the useSend API, such as SENT. answer: all that the API said.
    """

    email_id: str
    state: str
    status: str
    answer: Json


def read_batch(answer: Json, *, count: int) -> Batch:
    """count: how many emails were in it. Raises LookupError, TypeError or ValueError for no such answer."""
    refused = tuple(
        Refused(index=int(error["index"]), message=str(error["message"]))
        for error in answer.get("errors", ())
    )
    accepted = [str(item["emailId"]) for item in answer["data"]]
    indexes = {each.index for each in refused}
    if not indexes <= set(range(count)) or len(accepted) + len(indexes) != count:
        raise ValueError("ids and errors don't add up to the batch")
    following = iter(accepted)
    email_ids = tuple(None if index in indexes else next(following) for index in range(count))
    return Batch(email_ids=email_ids, refused=refused)


def _addresses(given: str | Sequence[str]) -> list[str] | None:
    return [given] if isinstance(given, str) else list(given) or None


def in_utc(given: datetime | None) -> str | None:
    """ISO 8601. Raises ValueError for a time without a time zone."""
    if given is None:
        return None
    if given.tzinfo is None:
        raise ValueError("a time needs a time zone: datetime.now(timezone.utc), for instance")
    return given.astimezone(timezone.utc).isoformat()


def _without_none(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}
