"""Settling the unknown: what becomes of an email when nobody knows whether the provider took it.

Whatever speaks first settles it: the worker's own late answer, a webhook, the provider's status endpoint.
At the deadline the lane's policy decides. Pure decisions.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from delivery.domain.lanes import Lane, LanePolicy, OnUnknown
from delivery.domain.owed import OwedTo
from delivery.domain.questions import About, CheckPolicy, Question, next_check, report_question
from delivery.domain.settlement import DeathReason
from delivery.domain.states import State

NEVER_SEEN = "never seen by the provider"
RESENT_BY_POLICY = "outcome unknown at its deadline, resent by policy"
"""Why an unconfirmed email was sent again, as its history tells."""


class Found(StrEnum):
    """What the provider's status endpoint says about an email."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    FAILED = "failed"
    NEVER_SEEN = "never_seen"
    CANT_TELL = "cant_tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Questionable:
    """An email with an open question, as it stands."""

    email_id: str
    tenant_id: str
    lane: Lane
    state: State
    gen: int
    attempts: int
    expires_at: datetime | None
    on_unknown: OnUnknown | None
    question: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The write that an answer or a deadline leads to, if the email is still where it was.

    state None: it stays where it is and is asked about again at ``check_at``; without that, never again.
    reason: why it failed. note: what its history says instead, where it did not fail. unreported: as far as
    anybody could find out, its overdue report never came. may_be_sent: nobody found out whether the provider
    has it. question: what is asked next of an email that did move. What owes a message raises the generation.
    """

    state: State | None
    at: datetime
    checks: int
    check_at: datetime | None = None
    due_at: datetime | None = None
    owed: OwedTo | None = None
    reason: str | None = None
    note: str | None = None
    unreported: bool = False
    may_be_sent: bool = False
    question: Question | None = None


_SETTLED_BY: dict[Found, State] = {
    Found.ACCEPTED: State.SUBMITTED,
    Found.DELIVERED: State.DELIVERED,
    Found.REJECTED: State.REJECTED,
    Found.FAILED: State.FAILED,
}


def after_check(
    email: Questionable, found: Found, *, lane: LanePolicy, policy: CheckPolicy, now: datetime
) -> Verdict:
    """What an answer of the status endpoint means."""
    state = _SETTLED_BY.get(found)
    checks = email.question.checks + 1
    if state is not None and state is not email.state:
        question = report_question(submitted_at=now, policy=policy) if state is State.SUBMITTED else None
        return Verdict(state=state, at=now, checks=checks, reason=_reason(state), question=question)
    was_never_accepted = found is Found.NEVER_SEEN and now - email.question.ended_at >= policy.late_accept
    if was_never_accepted and email.question.about is About.OUTCOME:
        return _try_again(email, checks=checks, lane=lane, note=NEVER_SEEN, now=now)
    check_at = next_check(email.question.asked_from, checks=checks, policy=policy, now=now)
    is_last_word = email.question.about is About.REPORT and check_at is None
    return Verdict(state=None, at=now, checks=checks, check_at=check_at, unreported=is_last_word)


def at_deadline(email: Questionable, *, lane: LanePolicy, now: datetime) -> Verdict:
    """What the policy decides once nobody has spoken until the deadline. The provider may have it."""
    return replace(_at_deadline(email, lane=lane, now=now), may_be_sent=True)


def _at_deadline(email: Questionable, *, lane: LanePolicy, now: datetime) -> Verdict:
    if _has_expired(email, now):
        reason = "expired while unconfirmed"
        return Verdict(state=State.EXPIRED, at=now, checks=email.question.checks, reason=reason)
    if (email.on_unknown or lane.on_unknown) is OnUnknown.RESEND:
        return _try_again(email, checks=email.question.checks, lane=lane, note=RESENT_BY_POLICY, now=now)
    reason = "outcome unknown"
    return Verdict(state=State.HELD, at=now, checks=email.question.checks, owed=OwedTo.HELD, reason=reason)


def passed_over(email: Questionable, *, policy: CheckPolicy, now: datetime) -> Verdict:
    """An overdue report that could not be asked for in all the time that its checks would have taken.

    Nobody waits longer for the status endpoint: the email counts as unreported. It used up an offset, and is
    asked about all the same once there is time for it.
    """
    checks = email.question.checks + 1
    check_at = next_check(email.question.asked_from, checks=checks, policy=policy, now=now)
    return Verdict(state=None, at=now, checks=checks, check_at=check_at, unreported=True)


def _try_again(email: Questionable, *, checks: int, lane: LanePolicy, note: str, now: datetime) -> Verdict:
    """Retry with the same request id. The attempt was counted when its outcome became unknown."""
    if _has_expired(email, now):
        reason = "expired before its next attempt"
        return Verdict(state=State.EXPIRED, at=now, checks=checks, reason=reason)
    if email.attempts > len(lane.retry_schedule):
        reason = DeathReason.ATTEMPTS_EXHAUSTED.value
        return Verdict(state=State.DEAD, at=now, checks=checks, owed=OwedTo.DEAD, reason=reason)
    return Verdict(state=State.RETRYING, at=now, checks=checks, due_at=now, owed=OwedTo.LANE, note=note)


def _has_expired(email: Questionable, now: datetime) -> bool:
    return email.expires_at is not None and email.expires_at <= now


def _reason(state: State) -> str | None:
    return "reported by the provider" if state in (State.REJECTED, State.FAILED) else None
