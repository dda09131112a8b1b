"""What provider events did, kept in memory and written together: no batch of them waits for that write."""

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.errors import StoreUnavailable
from delivery.domain.provider_events import PendingEvent
from delivery.store.soon import Soon

log = logging.getLogger(__name__)

LONGEST = timedelta(seconds=1)


class Write(Protocol):
    def __call__(self, effects: Mapping[str, Sequence[str]], *, now: datetime) -> None: ...


class Effects:
    """Safe to use from many threads.

    Until its effect is written an event stays pending in the store. Should this process be killed before
    that, the reconciler applies the event once more, which changes nothing but the effect that is recorded.
    """

    def __init__(self, write: Write, *, relay_grace: timedelta) -> None:
        """relay_grace: how long an event may be pending before the reconciler applies it."""
        self._write = write
        self._soon = Soon(self.flush, interval=min(LONGEST, relay_grace / 3), name="striking events")
        self._waiting: dict[str, str] = {}
        self._latest: datetime | None = None
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def record_effects(self, effects: Mapping[str, Sequence[str]], *, now: datetime) -> None:
        """Have events struck as applied soon. effects: what they did -> their ids. Never fails."""
        with self._lock:
            for effect, event_ids in effects.items():
                for event_id in event_ids:
                    self._waiting.setdefault(event_id, effect)
            self._latest = now
        self._soon.ask()

    def not_applied(self, pending: Sequence[PendingEvent]) -> list[PendingEvent]:
        """Those that were not applied here a moment ago. Writes what was, so that none is found for ever."""
        with self._lock:
            rest = [event for event in pending if event.event_id not in self._waiting]
        if len(rest) < len(pending):
            self.flush()
        return rest

    def flush(self) -> None:
        """Write what there is; never fails. While the store is away it stays here."""
        with self._writing:
            with self._lock:
                waiting, latest = dict(self._waiting), self._latest
            if latest is None or not waiting:
                return
            by_effect: dict[str, list[str]] = defaultdict(list)
            for event_id, effect in waiting.items():
                by_effect[effect].append(event_id)
            try:
                self._write(by_effect, now=latest)
            except StoreUnavailable:
                self._soon.ask()
                return
            except Exception as error:
                log.error("events left to the reconciler error=%s", type(error).__name__)
            with self._lock:
                for event_id in waiting:
                    del self._waiting[event_id]
