"""Apply recorded provider events to their emails."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from delivery.domain.emails import Standing
from delivery.domain.happenings import Happening, happening_of
from delivery.domain.provider_events import PendingEvent
from delivery.domain.recipients import RecipientReport, is_news, state_of_several
from delivery.domain.reports import state_after
from delivery.domain.states import State

UNKNOWN_EMAIL = "unknown_email"
NO_CHANGE = "no_change"
UNKNOWN_RECIPIENT = "unknown_recipient"

_MAX_ROUNDS = 20


class EventEffects(Protocol):
    def record_effects(self, effects: Mapping[str, Sequence[str]], *, now: datetime) -> None: ...


class Standings(Protocol):
    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]: ...


class ReportedEmails(Protocol):
    def apply(self, changes: Sequence[tuple[Standing, State]], *, now: datetime) -> bool: ...

    def apply_to_recipient(
        self, item: RecipientReport, *, standing: Standing, state: State | None
    ) -> bool: ...


def apply_provider_events(
    pending: Sequence[PendingEvent],
    *,
    events: EventEffects,
    emails: Standings,
    reported: ReportedEmails,
    now: datetime,
) -> list[Happening]:
    """Apply a batch, oldest first; returns what happened to the emails.

    Every write is conditional on the state the decision was made for; an email that changed meanwhile is
    looked at again. Applying an event twice does no harm. Raises StoreUnavailable.
    """
    done: list[_Done] = []
    waiting = list(pending)
    for _ in range(_MAX_ROUNDS):
        if not waiting:
            break
        finished, waiting = _apply_round(waiting, emails=emails, reported=reported, now=now)
        done += finished
    if done:
        events.record_effects(_by_effect(done), now=now)
    return [_happening(item, at=now) for item in done if item.state is not None]


@dataclass(frozen=True, slots=True)
class _Done:
    """An event and what it did: the state it led to, or, without one, why it led to none.

    about: what it says of one of several recipients, if that is news.
    """

    event: PendingEvent
    standing: Standing | None
    state: State | None
    about: RecipientReport | None = None

    @property
    def effect(self) -> str:
        if self.standing is None:
            return UNKNOWN_EMAIL
        if self.state is not None:
            return self.state.value
        if self.about is not None:
            return f"recipient_{self.about.report}"
        who = self.event.recipient
        is_stranger = (
            bool(self.standing.recipients) and who is not None and who not in self.standing.recipients
        )
        return UNKNOWN_RECIPIENT if is_stranger else NO_CHANGE

    def is_in(self, standing: Standing | None) -> bool:
        """Whether an email that stands so has what this was to do."""
        if self.state is not None and (standing is None or standing.state is not self.state):
            return False
        return self.about is None or (standing is not None and not _is_news(self.about, standing))


def _apply_round(
    waiting: Sequence[PendingEvent], *, emails: Standings, reported: ReportedEmails, now: datetime
) -> tuple[list[_Done], list[PendingEvent]]:
    """One event per email; returns what is done, and the events that must wait for the next round."""
    firsts = {event.email_id: event for event in reversed(waiting)}
    later = [event for event in waiting if firsts[event.email_id] is not event]
    standings = emails.standings(firsts)
    decided = [_decide(event, standings.get(email_id), now=now) for email_id, event in firsts.items()]
    if _write(decided, reported=reported, now=now):
        return decided, later
    done, again = _after_partial_write(decided, emails=emails)
    return done, again + later


def _write(decided: Sequence[_Done], *, reported: ReportedEmails, now: datetime) -> bool:
    """False when an email was no longer where it stood."""
    changes = []
    is_whole = True
    for item in decided:
        if item.standing is None:
            continue
        if item.about is not None:
            is_whole &= reported.apply_to_recipient(item.about, standing=item.standing, state=item.state)
        elif item.state is not None:
            changes.append((item.standing, item.state))
    return (not changes or reported.apply(changes, now=now)) and is_whole


def _decide(event: PendingEvent, standing: Standing | None, *, now: datetime) -> _Done:
    if standing is None:
        return _Done(event, None, None)
    if event.recipient is None or not standing.recipients:
        return _Done(event, standing, state_after(event.report, state=standing.state, calls=standing.calls))
    about = RecipientReport(event.recipient, event.report, now)
    if standing.calls == 0 or not _is_news(about, standing):
        return _Done(event, standing, None)
    state = state_of_several(
        standing.recipients,
        (*standing.reported, about),
        report=event.report,
        state=standing.state,
        calls=standing.calls,
    )
    return _Done(event, standing, state, about)


def _is_news(about: RecipientReport, standing: Standing) -> bool:
    return is_news(about, recipients=standing.recipients, reported=standing.reported)


def _after_partial_write(
    decided: Sequence[_Done], *, emails: Standings
) -> tuple[list[_Done], list[PendingEvent]]:
    """Which emails reached the state meant for them, and the events of those that did not."""
    reached = emails.standings([item.event.email_id for item in decided])
    done, again = [], []
    for item in decided:
        if item.is_in(reached.get(item.event.email_id)):
            done.append(item)
        else:
            again.append(item.event)
    return done, again


def _by_effect(done: Sequence[_Done]) -> dict[str, list[str]]:
    effects: dict[str, list[str]] = defaultdict(list)
    for item in done:
        effects[item.effect].append(item.event.event_id)
    return effects


def _happening(item: _Done, *, at: datetime) -> Happening:
    assert item.standing is not None
    assert item.state is not None
    return happening_of(item.standing, item.state, at=at)
