"""Values with sensible defaults, so that a test names only what it is about."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from delivery.domain.breaker import BreakerPolicy
from delivery.domain.emails import ClaimedEmail, Content, EmailRequest, NewEmail, Standing
from delivery.domain.lanes import Lane, LanePolicy
from delivery.domain.owed import OwedEmail, OwedTo
from delivery.domain.questions import About, CheckPolicy, Question
from delivery.domain.readings import EmailReading, Listed, Place
from delivery.domain.states import State
from delivery.domain.unknowns import Questionable

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CONTENT = Content(sender="shop@example.com", recipient="ann@example.com", message="Hello")
EMAIL_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
CHECKS = CheckPolicy(
    offsets=(timedelta(minutes=1), timedelta(minutes=5)),
    late_accept=timedelta(seconds=150),
    report_overdue=timedelta(minutes=30),
    calls_per_minute=60,
)

BREAKER = BreakerPolicy(
    run=20,
    share=60,
    window=timedelta(seconds=30),
    least_calls=50,
    first_pause=timedelta(seconds=1),
    longest_pause=timedelta(seconds=30),
)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def claimed(**changes: Any) -> ClaimedEmail:
    """An email that was accepted at NOW and claimed for its first attempt."""
    values: dict[str, Any] = {
        "email_id": EMAIL_ID,
        "tenant_id": "default",
        "lane": Lane.TRANSACTIONAL,
        "priority": 1,
        "content": CONTENT,
        "gen": 1,
        "token": "token",
        "attempts": 0,
        "calls": 1,
        "waits": 0,
        "accepted_at": NOW,
        "claimed_at": NOW,
        "due_at": NOW,
        "waiting_since": NOW,
        "expires_at": None,
    }
    return ClaimedEmail(**{**values, **changes})


def new_email(email_id: str = EMAIL_ID, **changes: Any) -> NewEmail:
    """``changes`` are those of the request: lane, priority, expires_at, content."""
    return NewEmail(
        email_id=email_id,
        tenant_id="default",
        request=EmailRequest(**{"content": CONTENT, **changes}),
        accepted_at=NOW,
    )


def standing(**changes: Any) -> Standing:
    values: dict[str, Any] = {
        "email_id": EMAIL_ID,
        "tenant_id": "default",
        "lane": Lane.TRANSACTIONAL,
        "state": State.QUEUED,
        "gen": 1,
        "attempts": 0,
        "calls": 0,
        "accepted_at": NOW,
        "updated_at": NOW,
        "due_at": NOW,
    }
    return Standing(**{**values, **changes})


def owed_email(**changes: Any) -> OwedEmail:
    values: dict[str, Any] = {
        "email_id": EMAIL_ID,
        "tenant_id": "default",
        "gen": 1,
        "to": OwedTo.LANE,
        "lane": Lane.TRANSACTIONAL,
        "priority": 1,
        "due_at": NOW,
        "attempts": 0,
        "waits": 0,
        "accepted_at": NOW,
    }
    return OwedEmail(**{**values, **changes})


def policy(
    *waits: float, max_wait: timedelta = timedelta(hours=12), weight: int = 1, **unknowns: Any
) -> LanePolicy:
    """``waits``: the retry schedule in seconds. ``unknowns``: on_unknown, unknown_deadline."""
    schedule = tuple(seconds(wait) for wait in waits)
    return LanePolicy(retry_schedule=schedule, max_wait=max_wait, weight=weight, **unknowns)


def unconfirmed(**changes: Any) -> Questionable:
    """An email whose only call began and ended at NOW, with an unknown outcome, and was never asked about.

    ``changes`` are those of the email, or of its question.
    """
    return _questionable(State.UNCONFIRMED, About.OUTCOME, decide_at=NOW + timedelta(minutes=45), **changes)


def overdue(**changes: Any) -> Questionable:
    """An email that was submitted so long ago that its report is overdue at NOW."""
    return _questionable(State.SUBMITTED, About.REPORT, decide_at=None, **changes)


def _questionable(state: State, about: About, *, decide_at: datetime | None, **changes: Any) -> Questionable:
    question: dict[str, Any] = {
        "about": about,
        "asked_from": NOW,
        "ended_at": NOW,
        "checks": 0,
        "check_at": NOW + timedelta(minutes=1),
        "decide_at": decide_at,
    }
    question |= {name: changes.pop(name) for name in list(changes) if name in question}
    values: dict[str, Any] = {
        "email_id": EMAIL_ID,
        "tenant_id": "default",
        "lane": Lane.TRANSACTIONAL,
        "state": state,
        "gen": 1,
        "attempts": 1,
        "expires_at": None,
        "on_unknown": None,
        "question": Question(**question),
    }
    return Questionable(**{**values, **changes})


def listed(
    there: Iterable[EmailReading], *, recipient: str | None, since: datetime, until: datetime, limit: int
) -> list[Listed]:
    """As the store lists those that are there: the newest first."""
    found = [
        Listed(
            place=Place(email.standing.accepted_at, email.standing.email_id),
            state=email.standing.state,
            lane=email.standing.lane,
            has_recipient=recipient in (None, *email.content.recipients),
        )
        for email in there
        if since <= email.standing.accepted_at <= until
    ]
    return sorted(found, key=lambda email: email.place, reverse=True)[:limit]
