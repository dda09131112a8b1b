"""Apply recorded provider events to their emails."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from delivery.domain.emails import Standing
from delivery.domain.provider_events import PendingEvent
from delivery.domain.reports import state_after
from delivery.domain.states import State

UNKNOWN_EMAIL = "unknown_email"
NO_CHANGE = "no_change"

_MAX_ROUNDS = 20


class EventEffects(Protocol):
    def record_effects(self, effects: Mapping[str, Sequence[str]], *, now: datetime) -> None: ...


class Standings(Protocol):
    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]: ...


class ReportedEmails(Protocol):
    def apply(self, changes: Sequence[tuple[Standing, State]], *, now: datetime) -> bool: ...


def apply_provider_events(
    pending: Sequence[PendingEvent],
    *,
    events: EventEffects,
    emails: Standings,
    reported: ReportedEmails,
    now: datetime,
) -> dict[str, int]:
    """Apply a batch, oldest first; returns how often each effect came about.

    Every write is conditional on the state the decision was made for; an email that changed meanwhile is
    looked at again. Applying an event twice does no harm. Raises StoreUnavailable.
    """
    effects: dict[str, list[str]] = defaultdict(list)
    waiting = list(pending)
    for _ in range(_MAX_ROUNDS):
        if not waiting:
            break
        waiting = _apply_round(waiting, emails=emails, reported=reported, effects=effects, now=now)
    if effects:
        events.record_effects(effects, now=now)
    return {effect: len(event_ids) for effect, event_ids in effects.items()}


def _apply_round(
    waiting: Sequence[PendingEvent],
    *,
    emails: Standings,
    reported: ReportedEmails,
    effects: dict[str, list[str]],
    now: datetime,
) -> list[PendingEvent]:
    """One event per email; returns those that must wait for the next round."""
    firsts = {event.email_id: event for event in reversed(waiting)}
    later = [event for event in waiting if firsts[event.email_id] is not event]
    standings = emails.standings(firsts)
    changes: list[tuple[PendingEvent, Standing, State]] = []
    for email_id, event in firsts.items():
        standing = standings.get(email_id)
        if standing is None:
            effects[UNKNOWN_EMAIL].append(event.event_id)
            continue
        state = state_after(event.report, state=standing.state, calls=standing.calls)
        if state is None:
            effects[NO_CHANGE].append(event.event_id)
        else:
            changes.append((event, standing, state))
    if not changes:
        return later
    if reported.apply([(standing, state) for _, standing, state in changes], now=now):
        for event, _, state in changes:
            effects[state.value].append(event.event_id)
        return later
    return _unsettled(changes, emails=emails, effects=effects) + later


def _unsettled(
    changes: Sequence[tuple[PendingEvent, Standing, State]],
    *,
    emails: Standings,
    effects: dict[str, list[str]],
) -> list[PendingEvent]:
    """After a partial write: the events whose emails did not reach the state meant for them."""
    reached = emails.standings([standing.email_id for _, standing, _ in changes])
    again = []
    for event, standing, state in changes:
        current = reached.get(standing.email_id)
        if current is not None and current.state is state:
            effects[state.value].append(event.event_id)
        else:
            again.append(event)
    return again
