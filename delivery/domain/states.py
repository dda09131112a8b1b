"""The states of an email and the table of transitions between them.

docs/states.md draws this table; tests/unit/delivery/domain/test_states_document.py compares the two.
"""

from enum import StrEnum


class State(StrEnum):
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SUBMITTING = "submitting"
    RETRYING = "retrying"
    SUBMITTED = "submitted"
    UNCONFIRMED = "unconfirmed"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    REJECTED = "rejected"
    FAILED = "failed"
    DEAD = "dead"
    HELD = "held"
    SUPPRESSED = "suppressed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Status(StrEnum):
    """What GET /status says; the exact state is in its ``detail``."""

    SENT = "sent"
    FAILED = "failed"
    PROCESSING = "processing"


S = State

TRANSITIONS: dict[State, frozenset[State]] = {
    S.SCHEDULED: frozenset({S.QUEUED, S.SUPPRESSED, S.CANCELED, S.EXPIRED}),
    S.QUEUED: frozenset(
        {S.SUBMITTING, S.DEAD, S.SUPPRESSED, S.CANCELED, S.EXPIRED, S.DELIVERED, S.BOUNCED, S.COMPLAINED}
    ),
    S.SUBMITTING: frozenset(
        {
            S.QUEUED,  # the claim was given back before the call
            S.RETRYING,
            S.SUBMITTED,
            S.UNCONFIRMED,
            S.REJECTED,
            S.DEAD,
            S.EXPIRED,
            S.DELIVERED,  # from here on: the webhook spoke before the answer
            S.BOUNCED,
            S.COMPLAINED,
            S.FAILED,
        }
    ),
    S.RETRYING: frozenset(
        {S.SUBMITTING, S.DEAD, S.SUPPRESSED, S.CANCELED, S.EXPIRED, S.DELIVERED, S.BOUNCED, S.COMPLAINED}
    ),
    S.SUBMITTED: frozenset({S.DELIVERED, S.BOUNCED, S.COMPLAINED, S.REJECTED, S.FAILED}),
    S.UNCONFIRMED: frozenset(
        {
            S.SUBMITTED,
            S.RETRYING,
            S.HELD,
            S.REJECTED,
            S.DEAD,
            S.EXPIRED,
            S.DELIVERED,
            S.BOUNCED,
            S.COMPLAINED,
            S.FAILED,
        }
    ),
    S.DELIVERED: frozenset({S.BOUNCED, S.COMPLAINED}),
    S.BOUNCED: frozenset({S.COMPLAINED}),
    S.COMPLAINED: frozenset(),
    S.REJECTED: frozenset({S.DELIVERED, S.BOUNCED, S.COMPLAINED}),
    S.FAILED: frozenset({S.DELIVERED, S.BOUNCED, S.COMPLAINED}),
    S.DEAD: frozenset({S.QUEUED, S.DELIVERED, S.BOUNCED, S.COMPLAINED}),
    S.HELD: frozenset({S.QUEUED, S.DELIVERED, S.BOUNCED, S.COMPLAINED, S.REJECTED, S.FAILED}),
    S.SUPPRESSED: frozenset(),
    S.CANCELED: frozenset(),
    S.EXPIRED: frozenset({S.DELIVERED, S.BOUNCED, S.COMPLAINED}),
}

CLAIMABLE = frozenset({S.QUEUED, S.RETRYING})
"""Waiting for a worker: plainly not in a provider's hands."""

REVIVABLE = frozenset({S.DEAD, S.HELD})
"""Parked until a person decides; moving the letter is that decision."""

ANSWERED = frozenset(S) - {S.SCHEDULED, S.QUEUED, S.SUBMITTING, S.RETRYING, S.UNCONFIRMED}
"""The provider's answer (or the lack of any further attempt) is known; ``Prefer: wait`` waits for these."""

_SENT = frozenset({S.DELIVERED, S.COMPLAINED})
_FAILED = frozenset({S.REJECTED, S.FAILED, S.BOUNCED, S.DEAD, S.HELD, S.SUPPRESSED, S.CANCELED, S.EXPIRED})


def fold(state: State, *, provider_reports_deliveries: bool, is_unreported: bool = False) -> Status:
    """Fold a state into the three that GET /status knows.

    A provider that reports no deliveries never gets an email beyond ``submitted``: there it means sent. So it
    does where every check on an overdue report came back without news.
    """
    is_all_there_will_be = is_unreported or not provider_reports_deliveries
    if state in _SENT or (state is S.SUBMITTED and is_all_there_will_be):
        return Status.SENT
    return Status.FAILED if state in _FAILED else Status.PROCESSING
