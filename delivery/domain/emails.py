"""The email as values: what a caller hands over, what is stored, what a worker claims."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from delivery.domain.lanes import DEFAULT_PRIORITY, RETRY_PRIORITY, Lane, OnUnknown
from delivery.domain.recipients import RecipientReport
from delivery.domain.states import State

DEFAULT_TENANT = "default"
"""Until there are tenants, every email is of this one."""


DOCUMENT_SIZE = 2 * 1024
"""Bytes that a stored email has besides its content, roughly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What an email says of an attachment. Its bytes are stored apart, and loaded when it is submitted.

    size: of these bytes.
    """

    filename: str
    size: int
    content_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the provider gets: sender, recipient and message, and the rest where it takes extra fields.

    recipient: the first; to: the others beside it. message: plain text, empty where there is only ``html``.
    text: beside a message that is something else. in_reply_to: the id of an email of ours.
    """

    sender: str
    recipient: str
    message: str
    subject: str | None = None
    text: str | None = None
    sender_name: str | None = None
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    in_reply_to: str | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """All of them, the first one first."""
        return (self.recipient, *self.to, *self.cc, *self.bcc)

    @property
    def size(self) -> int:
        """Bytes in UTF-8, of what may be many."""
        size = _size(self.message)
        for text in (self.text, self.html):
            if text:
                size += _size(text)
        return size + sum(_size(value) for _, value in self.headers) if self.headers else size


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailRequest:
    """One validated request to send. ``ttl`` has become ``expires_at`` by now.

    send_at: when it is to be sent; None: at once. on_unknown, unknown_deadline: in place of the lane's.
    attached: the bytes of the content's attachments.
    """

    content: Content
    lane: Lane = Lane.TRANSACTIONAL
    priority: int = DEFAULT_PRIORITY
    send_at: datetime | None = None
    expires_at: datetime | None = None
    on_unknown: OnUnknown | None = None
    unknown_deadline: timedelta | None = None
    attached: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes are to be stored."""
        return DOCUMENT_SIZE + self.content.size + sum(len(body) for body in self.attached)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEmail:
    """An email about to be stored for the first time.

    content_hash is set where the id is derived from the caller's own (AMQP): it tells a harmless resend
    from a second email under a used id.
    """

    email_id: str
    tenant_id: str
    request: EmailRequest
    accepted_at: datetime
    content_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedEmail:
    """An email in this worker's hands.

    attempts: attempts spent so far; calls: provider calls begun, this one included; waits: delays that
    spent no attempt; waiting_since: acceptance, when a scheduled one was queued, the last requeue, or
    when the provider first made it wait; attached: the bytes of its attachments, while it is being submitted.
    """

    email_id: str
    tenant_id: str
    lane: Lane
    priority: int
    content: Content
    gen: int
    token: str
    attempts: int
    calls: int
    waits: int
    accepted_at: datetime
    claimed_at: datetime
    due_at: datetime
    waiting_since: datetime
    expires_at: datetime | None
    unknown_deadline: timedelta | None = None
    attached: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an email stands: what a status answer and the fate of a stray message need.

    send_at: of one that was scheduled. may_be_sent: a call's outcome stayed unknown, so the provider may have
    accepted it, whatever became of it since. recipients: the keyed hashes of several, in the order of its
    content's; none where there is one. reported: about each of these, in order of arrival.
    """

    email_id: str
    tenant_id: str
    lane: Lane
    state: State
    gen: int
    attempts: int
    calls: int
    accepted_at: datetime
    updated_at: datetime
    due_at: datetime
    send_at: datetime | None = None
    expires_at: datetime | None = None
    may_be_sent: bool = False
    reason: str | None = None
    is_unreported: bool = False
    recipients: tuple[str, ...] = ()
    reported: tuple[RecipientReport, ...] = ()


def message_priority(*, priority: int, is_retry: bool) -> int:
    """The AMQP priority of an email's message in its lane."""
    return RETRY_PRIORITY if is_retry else priority
