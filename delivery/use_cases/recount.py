"""Correct the counts: count all emails anew, a page at a time, as they were at the beginning of some hour.

Nothing stands still for it. An email's history tells where it was counted then, however late its turn comes,
and what happened since is in the changes of the hours.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.counts import Bin, Counted, RecountState, Tallies, bin_at, hour_of

PAGE = 1000

SETTLED = timedelta(minutes=5)
"""So long after an hour's end its changes are written, also those that waited for the store."""


class CountsToCorrect(Protocol):
    def recount(self) -> RecountState | None: ...

    def page(self, *, after: str, limit: int) -> list[Counted]: ...

    def save(self, before: RecountState | None, now: RecountState) -> bool: ...

    def rebase(self, tallies: Tallies, *, until: datetime) -> None: ...


def recount(
    counts: CountsToCorrect, *, reports_deliveries: bool, now: datetime, page: int = PAGE
) -> datetime | None:
    """Count one page. Returns the hour from which on the changes count, once all pages are in.

    Begins anew when another hour is over. Raises StoreUnavailable. Safe to repeat, and to run twice at once:
    of two that count the same page, one is taken.
    """
    before = counts.recount()
    until = hour_of(now - SETTLED)
    if before is None or (before.is_done and before.until < until):
        counts.save(before, RecountState(until=until))
        return None
    if before.is_done:
        return None
    emails = counts.page(after=before.after, limit=page)
    tallies = _with(before.tallies, emails, until=before.until, reports_deliveries=reports_deliveries)
    if len(emails) == page:
        counts.save(before, replace(before, after=emails[-1].email_id, tallies=tallies))
        return None
    counts.rebase(tallies, until=before.until)
    counts.save(before, RecountState(until=before.until, is_done=True))
    return before.until


def _with(
    tallies: Tallies, emails: Sequence[Counted], *, until: datetime, reports_deliveries: bool
) -> Tallies:
    tallies = deepcopy(tallies)
    for email in emails:
        found = bin_at(email, until, reports_deliveries=reports_deliveries)
        if found is not None:
            bins = tallies.setdefault(email.tenant_id, {}).setdefault(email.lane.value, {})
            for each in (Bin.RECEIVED, found):
                bins[each.value] = bins.get(each.value, 0) + 1
    return tallies
