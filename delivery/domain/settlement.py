"""What becomes of a claimed email once the provider's answer is known. Pure decisions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from delivery.domain.emails import ClaimedEmail
from delivery.domain.lanes import LanePolicy
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.owed import OwedTo
from delivery.domain.questions import Question
from delivery.domain.states import State


class DeathReason(StrEnum):
    """Why an email is in ``email.dead``; docs/runbook.md says what to do about each."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    MAX_WAIT_EXCEEDED = "max_wait_exceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The write that an answer leads to, under the claim's token: the same one for all emails that end alike.

    A settlement that owes a message raises ``gen`` by one, so that every older message is stale. was_called:
    False for an email that was claimed, and then ended without a call. waiting_since: set when the provider
    makes it wait for the first time.
    """

    state: State
    attempts: int
    waits: int
    at: datetime
    due_at: datetime | None = None
    owed: OwedTo | None = None
    reason: str | None = None
    last_error: str | None = None
    question: Question | None = None
    was_called: bool = True
    waiting_since: datetime | None = None


def settle(claimed: ClaimedEmail, answer: Answer, *, policy: LanePolicy, now: datetime) -> Settlement:
    """Decide what an answer means for an email; docs/states.md has the table of transitions."""
    match answer.outcome:
        case Outcome.ACCEPTED:
            return _end(claimed, state=State.SUBMITTED, attempts=claimed.attempts + 1, now=now)
        case Outcome.REJECTED:
            return _end(
                claimed,
                state=State.REJECTED,
                attempts=claimed.attempts + 1,
                now=now,
                reason=answer.detail,
                last_error=answer.detail,
            )
        case Outcome.UNKNOWN:
            return _end(
                claimed,
                state=State.UNCONFIRMED,
                attempts=claimed.attempts + 1,
                now=now,
                last_error=answer.detail,
            )
        case Outcome.UNAVAILABLE if not answer.is_probe:
            return _retry_or_die(claimed, answer, policy=policy, now=now)
        case Outcome.UNAVAILABLE | Outcome.THROTTLED | Outcome.MISCONFIGURED:
            return _wait_or_die(claimed, answer, policy=policy, now=now)


def _retry_or_die(claimed: ClaimedEmail, answer: Answer, *, policy: LanePolicy, now: datetime) -> Settlement:
    attempts = claimed.attempts + 1
    if attempts > len(policy.retry_schedule):
        return _die(claimed, answer, reason=DeathReason.ATTEMPTS_EXHAUSTED, attempts=attempts, now=now)
    wait = max(policy.retry_schedule[attempts - 1], answer.retry_after or timedelta(0))
    return _delay(claimed, answer, wait=wait, attempts=attempts, waits=claimed.waits, policy=policy, now=now)


def _wait_or_die(claimed: ClaimedEmail, answer: Answer, *, policy: LanePolicy, now: datetime) -> Settlement:
    """Wait without spending an attempt, by growing steps, no longer than the lane's max_wait.

    The steps are those of the retries; a lane that has none waits a tenth of its max_wait each time.
    """
    schedule = policy.retry_schedule or (policy.max_wait / 10,)
    grown = schedule[min(claimed.waits, len(schedule) - 1)]
    wait = max(grown, answer.retry_after or timedelta(0))
    return _delay(
        claimed,
        answer,
        wait=wait,
        attempts=claimed.attempts,
        waits=claimed.waits + 1,
        policy=policy,
        now=now,
    )


def _delay(
    claimed: ClaimedEmail,
    answer: Answer,
    *,
    wait: timedelta,
    attempts: int,
    waits: int,
    policy: LanePolicy,
    now: datetime,
) -> Settlement:
    due_at = now + wait
    is_first = claimed.attempts == 0 and claimed.waits == 0  # until now it waited for us, if for anybody
    waiting_since = now if is_first else claimed.waiting_since
    if claimed.expires_at is not None and due_at >= claimed.expires_at:
        return _end(
            claimed,
            state=State.EXPIRED,
            attempts=attempts,
            now=now,
            reason="expired before its next attempt",
            last_error=answer.detail,
        )
    if due_at - waiting_since > policy.max_wait:
        return _die(claimed, answer, reason=DeathReason.MAX_WAIT_EXCEEDED, attempts=attempts, now=now)
    return Settlement(
        state=State.RETRYING,
        attempts=attempts,
        waits=waits,
        at=now,
        due_at=due_at,
        owed=OwedTo.DELAY,
        last_error=answer.detail,
        waiting_since=waiting_since if is_first else None,
    )


def _die(
    claimed: ClaimedEmail, answer: Answer, *, reason: DeathReason, attempts: int, now: datetime
) -> Settlement:
    return Settlement(
        state=State.DEAD,
        attempts=attempts,
        waits=claimed.waits,
        at=now,
        owed=OwedTo.DEAD,
        reason=reason.value,
        last_error=answer.detail,
    )


def _end(
    claimed: ClaimedEmail,
    *,
    state: State,
    attempts: int,
    now: datetime,
    reason: str | None = None,
    last_error: str | None = None,
) -> Settlement:
    return Settlement(
        state=state,
        attempts=attempts,
        waits=claimed.waits,
        at=now,
        reason=reason,
        last_error=last_error,
    )
