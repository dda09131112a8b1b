"""The requests of a worker's loop that wait for the store, until it has answered or their time is over."""

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from api.fast_path import Begun
from api.told import Told
from delivery.store.group_commit import give_up

Connection = TypeVar("Connection", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Waiting:
    begun: Begun
    until: float


class CommitsInFlight(Generic[Connection]):
    """One request a connection. For the loop's thread.

    wake: called in any thread when something has ended, so that the loop calls ``ended``.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: dict[Connection, _Waiting] = {}  # in the order of their deadlines: all have as long
        self._ended: deque[tuple[Connection, Future[Any]]] = deque()
        self._is_woken = False

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._waiting

    def add(self, connection: Connection, begun: Begun) -> None:
        until = time.monotonic() + begun.within.total_seconds()
        self._waiting[connection] = _Waiting(begun, until)
        begun.commit.add_done_callback(partial(self._note_end, connection))

    def ended(self) -> Iterator[tuple[Connection, Told]]:
        """What is to be answered by now."""
        self._is_woken = False  # before looking: who ends something after this look wakes the loop again
        while self._ended:
            connection, commit = self._ended.popleft()
            waiting = self._waiting.get(connection)
            if waiting is not None and waiting.begun.commit is commit:
                del self._waiting[connection]
                yield connection, waiting.begun.tell(commit.exception() or commit.result())

    def overdue(self) -> Iterator[tuple[Connection, Told]]:
        """What is to be answered because its time is over."""
        while self.seconds_left() <= 0:
            connection, waiting = next(iter(self._waiting.items()))
            del self._waiting[connection]
            commit = waiting.begun.commit
            gone = None if commit.done() and not commit.cancelled() else give_up(commit)
            yield connection, waiting.begun.tell(gone or commit.exception() or commit.result())

    def seconds_left(self) -> float:
        """Until the first one is overdue; endless if nothing waits."""
        first = next(iter(self._waiting.values()), None)
        return float("inf") if first is None else first.until - time.monotonic()

    def _note_end(self, connection: Connection, commit: Future[Any]) -> None:
        waiting = self._waiting.get(connection)
        if waiting is None or waiting.begun.commit is not commit:
            return  # given up, and answered; the loop may have ended since
        self._ended.append((connection, commit))
        if not self._is_woken:
            self._is_woken = True
            self._wake()
