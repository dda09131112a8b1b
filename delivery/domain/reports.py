"""What a provider's report about an email does to its state. Pure rules.

Precedence: complained over bounced over delivered over the rest, whatever the order of arrival. A failure
reported during a later call (in SUBMITTING) does not hide that call's acceptance; one that comes once the
email is SUBMITTED is believed, because a report doesn't say which attempt it is about.
"""

from enum import StrEnum

from delivery.domain.states import State


class Report(StrEnum):
    DELIVERED = "delivered"
    REJECTED = "rejected"
    FAILED = "failed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


S = State

_LEADS_TO: dict[Report, State] = {
    Report.DELIVERED: S.DELIVERED,
    Report.REJECTED: S.REJECTED,
    Report.FAILED: S.FAILED,
    Report.BOUNCED: S.BOUNCED,
    Report.COMPLAINED: S.COMPLAINED,
}

REASONS: dict[State, str] = {
    S.REJECTED: "the provider reported it rejected",
    S.FAILED: "the provider reported it failed",
    S.BOUNCED: "the provider reported it bounced",
}
"""Why an email failed, where a report made it so."""

_BELIEVED_WITH_PROVIDER = frozenset({S.SUBMITTING, S.SUBMITTED, S.UNCONFIRMED, S.HELD})

_ONCE_SUBMITTED = _BELIEVED_WITH_PROVIDER | {S.QUEUED, S.RETRYING, S.DEAD, S.FAILED, S.REJECTED, S.EXPIRED}
"""Where the provider's word that an email went out is news, though we thought otherwise."""

_APPLIES_FROM: dict[Report, frozenset[State]] = {
    Report.REJECTED: _BELIEVED_WITH_PROVIDER,
    Report.FAILED: _BELIEVED_WITH_PROVIDER,
    Report.DELIVERED: _ONCE_SUBMITTED,
    Report.BOUNCED: _ONCE_SUBMITTED | {S.DELIVERED},
    Report.COMPLAINED: _ONCE_SUBMITTED | {S.DELIVERED, S.BOUNCED},
}


def state_after(report: Report, *, state: State, calls: int) -> State | None:
    """The state that a report leads to, or None where it changes nothing.

    calls: provider calls begun so far. An email that was never given to a provider can't have been
    reported on. A failure that arrives during a second or later call is taken for news of an earlier
    one: the call's own answer, or its own report, will tell.
    """
    if calls == 0 or state not in _APPLIES_FROM[report]:
        return None
    is_failure = report in (Report.REJECTED, Report.FAILED)
    if is_failure and state is S.SUBMITTING and calls > 1:
        return None
    return _LEADS_TO[report]
