"""The email as values: what a caller hands over, what is stored, what a worker claims."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from delivery.domain.lanes import DEFAULT_PRIORITY, RETRY_PRIORITY, Lane, OnUnknown
from delivery.domain.states import State

DEFAULT_TENANT = "default"
"""Until there are tenants, every email is of this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the provider gets. ``subject`` and ``text`` only where it takes extra fields."""

    sender: str
    recipient: str
    message: str
    subject: str | None = None
    text: str | None = None

    @property
    def size(self) -> int:
        """Bytes in UTF-8, of what may be many."""
        return len(self.message.encode()) + len((self.text or "").encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailRequest:
    """One validated request to send. ``ttl`` has become ``expires_at`` by now.

    on_unknown, unknown_deadline: in place of the lane's.
    """

    content: Content
    lane: Lane = Lane.TRANSACTIONAL
    priority: int = DEFAULT_PRIORITY
    expires_at: datetime | None = None
    on_unknown: OnUnknown | None = None
    unknown_deadline: timedelta | None = None


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
    spent no attempt; waiting_since: acceptance, the last requeue, or when the provider first made
    it wait.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an email stands: what a status answer and the fate of a stray message need."""

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
    expires_at: datetime | None = None
    reason: str | None = None
    is_unreported: bool = False


def message_priority(*, priority: int, is_retry: bool) -> int:
    """The AMQP priority of an email's message in its lane."""
    return RETRY_PRIORITY if is_retry else priority
