"""Correct the counts: count all emails anew, some at a time, as they were at the beginning of some hour.

Nothing stands still for it. An email's history tells where it was counted then, however late its turn comes,
and what happened since is in the changes of the hours.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.counts import Bin, Counted, RecountState, Tallies, bin_at, hour_of
from delivery.domain.errors import StoreUnavailable

MANY = 500
"""So many emails end a turn. As many are read at once, as far as the time between the last ones tells."""

MOST_PARTS = 50
"""So many parts of time, where there is nothing in them, end a turn, too."""

LONGEST, SHORTEST = timedelta(minutes=10), timedelta(milliseconds=1)
"""A part of time."""

SETTLED = timedelta(minutes=5)
"""So long after an hour's end its changes are written, also those that waited for the store."""


class CountsToCorrect(Protocol):
    def recount(self) -> RecountState | None: ...

    def beginnings(self) -> dict[str, datetime]: ...

    def accepted(self, tenant_id: str, *, since: datetime, until: datetime) -> list[Counted]: ...

    def save(self, before: RecountState | None, now: RecountState) -> bool: ...

    def rebase(self, tallies: Tallies, *, until: datetime, beginnings: Mapping[str, datetime]) -> None: ...


def recount(
    counts: CountsToCorrect, *, reports_deliveries: bool, now: datetime, many: int = MANY
) -> datetime | None:
    """Take a turn. Returns the hour from which on the changes count, once all emails are in.

    Begins anew when another hour is over. Raises StoreUnavailable. Safe to repeat, and to run twice at once:
    of two turns at the same place, one is taken.
    """
    before = counts.recount()
    until = hour_of(now - SETTLED)
    if before is None or (before.is_done and before.until < until):
        beginnings = {tenant: at for tenant, at in counts.beginnings().items() if at < until}
        counts.save(before, RecountState(until=until, todo=beginnings, beginnings=beginnings))
        return None
    if before.is_done:
        return None
    after = _turn(counts, before, reports_deliveries=reports_deliveries, many=many)
    if after.todo:
        counts.save(before, after)
        return None
    counts.rebase(after.tallies, until=before.until, beginnings=before.beginnings)
    counts.save(before, RecountState(until=before.until, is_done=True))
    return before.until


def _turn(
    counts: CountsToCorrect, state: RecountState, *, reports_deliveries: bool, many: int
) -> RecountState:
    tallies, todo, length, seen = deepcopy(state.tallies), dict(state.todo), state.length, 0
    for _ in range(MOST_PARTS):
        if not todo or seen >= many:
            break
        tenant_id = min(todo)
        since = todo[tenant_id]
        until = min(since + length, state.until)
        try:
            emails = counts.accepted(tenant_id, since=since, until=until)
        except StoreUnavailable:
            if length <= SHORTEST:
                raise
            length = max(length / 8, SHORTEST)  # it may have been too much to read in time
            break
        _add(tallies, emails, until=state.until, reports_deliveries=reports_deliveries)
        seen += len(emails)
        length = min(max(length * many / max(len(emails), many / 4), SHORTEST), LONGEST)
        todo[tenant_id] = until
        if until >= state.until:
            del todo[tenant_id]
    return replace(state, tallies=tallies, todo=todo, length=length, turns=state.turns + 1)


def _add(tallies: Tallies, emails: Sequence[Counted], *, until: datetime, reports_deliveries: bool) -> None:
    for email in emails:
        found = bin_at(email, until, reports_deliveries=reports_deliveries)
        if found is not None:
            bins = tallies.setdefault(email.tenant_id, {}).setdefault(email.lane.value, {})
            for each in (Bin.RECEIVED, found):
                bins[each.value] = bins.get(each.value, 0) + 1
