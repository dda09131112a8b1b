"""Waiting for the provider's answer: all waiters of a process share one batched query."""

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from delivery.domain.emails import Standing
from delivery.domain.errors import StoreUnavailable
from delivery.domain.states import ANSWERED

log = logging.getLogger(__name__)

LOOK_EVERY = 0.05
"""Seconds between two queries while somebody waits."""


class Standings(Protocol):
    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]: ...


@dataclass(frozen=True, slots=True)
class Waited:
    """standing: where the email stands, once answered. was_honoured: False if there was no room."""

    standing: Standing | None
    was_honoured: bool


@dataclass(slots=True, eq=False)
class _Waiter:
    email_id: str
    answered: threading.Event = field(default_factory=threading.Event)
    standing: Standing | None = None


class OutcomeWaits:
    """``most`` waiters at once, so that waiting never takes the threads that accepting needs."""

    def __init__(self, emails: Standings, *, most: int) -> None:
        self._emails = emails
        self._room = threading.Semaphore(most)
        self._waiters: set[_Waiter] = set()
        self._changed = threading.Condition()
        self._looking: threading.Thread | None = None

    def wait(self, email_id: str, *, within: timedelta) -> Waited:
        if not self._room.acquire(blocking=False):
            return Waited(None, was_honoured=False)
        waiter = _Waiter(email_id)
        try:
            with self._changed:
                self._waiters.add(waiter)
                self._start()
                self._changed.notify()
            waiter.answered.wait(within.total_seconds())
        finally:
            with self._changed:
                self._waiters.discard(waiter)
            self._room.release()
        return Waited(waiter.standing, was_honoured=True)

    def _start(self) -> None:
        if self._looking is None:
            self._looking = threading.Thread(target=self._look, name="waiting", daemon=True)
            self._looking.start()

    def _look(self) -> None:
        pause = threading.Event()
        while True:
            with self._changed:
                while not self._waiters:
                    self._changed.wait()
                waiting = list(self._waiters)
            self._tell(waiting)
            pause.wait(LOOK_EVERY)

    def _tell(self, waiting: Sequence[_Waiter]) -> None:
        try:
            standings = self._emails.standings({waiter.email_id for waiter in waiting})
        except StoreUnavailable:
            return
        except Exception as error:  # whatever one look met, there is nobody else to look for these
            log.error("not looked for outcomes error=%s", type(error).__name__)
            return
        for waiter in waiting:
            standing = standings.get(waiter.email_id)
            if standing is not None and standing.state in ANSWERED:
                waiter.standing = standing
                waiter.answered.set()
