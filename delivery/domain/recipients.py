"""What was reported about each of several recipients, and what that makes of their email. Pure rules.

An email to several is one email and one call, and has one state. The report that weighs most decides it, as
for an email to one; but a recipient's failure is the email's only once all of them have failed, so that it
never hides that others were, or will be, delivered to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from delivery.domain.reports import Report, state_after
from delivery.domain.states import State

_WEIGHT = {
    Report.REJECTED: 0,
    Report.FAILED: 0,
    Report.DELIVERED: 1,
    Report.BOUNCED: 2,
    Report.COMPLAINED: 3,
}
_FAILURES = frozenset({Report.REJECTED, Report.FAILED})


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """recipient: the keyed hash of the address."""

    recipient: str
    report: Report
    at: datetime


def recipient_states(
    recipients: Sequence[str], reported: Sequence[RecipientReport]
) -> tuple[RecipientReport | None, ...]:
    """For each recipient the report that holds; None as long as there is none.

    The one that weighs most, whatever the order of arrival; of those that weigh alike, the first.
    """
    holding: dict[str, RecipientReport] = {}
    for item in reported:
        known = holding.get(item.recipient)
        if known is None or _WEIGHT[item.report] > _WEIGHT[known.report]:
            holding[item.recipient] = item
    return tuple(holding.get(recipient) for recipient in recipients)


def is_news(item: RecipientReport, *, recipients: Sequence[str], reported: Sequence[RecipientReport]) -> bool:
    """Whether it changes what is known of its recipient, who must be one of the email's."""
    if item.recipient not in recipients:
        return False
    (known,) = recipient_states([item.recipient], reported)
    return known is None or _WEIGHT[item.report] > _WEIGHT[known.report]


def state_of_several(
    recipients: Sequence[str],
    reported: Sequence[RecipientReport],
    *,
    report: Report,
    state: State,
    calls: int,
) -> State | None:
    """The state that an email's newest report, which is in ``reported`` by now, leads to; or None."""
    holding = recipient_states(recipients, reported)
    reports = [item.report for item in holding if item is not None]
    if report in _FAILURES:
        if len(reports) < len(recipients) or not _FAILURES.issuperset(reports):
            return None
        report = Report.FAILED if Report.FAILED in reports else Report.REJECTED
    return state_after(report, state=state, calls=calls)
