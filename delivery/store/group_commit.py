"""Group commit: whoever writes takes everything that waits along in one call. Natural batching, no timers.

A lone item waits for nothing; a thousand that arrive during one round trip share the next.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from delivery.domain.errors import PostroomError, StoreOutcomeUnknown, StoreUnavailable
from delivery.store.client import calls_within, time_to_write

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_BATCH = 500
MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Of several items: the time that a write takes grows with its bytes."""

LARGE = 1024 * 1024
"""Bytes from which on an item is written on its own, so that the others need not wait for it."""


def _nothing(_item: object) -> int:
    return 0


def _one(_item: object) -> int:
    return 1


@dataclass(frozen=True, slots=True)
class Waiting(Generic[Item, Result]):
    item: Item
    size: int
    count: int
    future: Future[Result]


def give_up(future: Future[Any]) -> StoreUnavailable:
    """What to tell about an item that was submitted and has not ended in time.

    It is withdrawn and never written, unless it is being written (StoreOutcomeUnknown).
    """
    if future.cancel():
        return StoreUnavailable("withdrawn before it was written")
    return StoreOutcomeUnknown("still being written")


class GroupCommit(Generic[Item, Result]):
    """Commits items of many threads in batches, on a thread of its own that starts with the first item.

    write: takes the batch, returns for each item in order its result, or the error that this item's caller
    hears; what it raises reaches every caller of that batch. Start it after a fork, never before.

    size: about how many bytes an item has, where that may be many. count: how many documents it becomes, and
    most: how many of these are written in one call, unless a single item has more. pause: from the end of a
    call to the next one, where nobody minds waiting; the more come together, the less each costs. Who comes
    after a pause waits for nothing.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Sequence[Result | PostroomError]],
        *,
        name: str,
        size: Callable[[Item], int] = _nothing,
        count: Callable[[Item], int] = _one,
        most: int = MAX_BATCH,
        pause: timedelta = timedelta(0),
    ) -> None:
        self._write = write
        self._name = name
        self._size = size
        self._count = count
        self._most = most
        self._pause = pause.total_seconds()
        self._waiting: deque[Waiting[Item, Result]] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def commit(self, item: Item, *, within: timedelta) -> Result:
        """Commit one item and wait for it.

        Raises whatever ``write`` raises, or returns as this item's error; StoreUnavailable when the item was
        still waiting at the end of ``within`` (it is withdrawn and never written), StoreOutcomeUnknown when
        it was being written.

        A large item is written at once on the caller's own thread, and may take its time.
        """
        size = self._size(item)
        if size > LARGE:
            return self._commit_alone(item, size)
        future = self.submit(item)
        self.wake()
        try:
            return future.result(timeout=max(0.0, within.total_seconds()))
        except TimeoutError:
            raise give_up(future) from None

    def submit(self, item: Item) -> Future[Result]:
        """Put one item, which should not be large, with those that wait. It is committed after ``wake``.

        The future ends as ``commit`` does, in the committing thread. Whoever waits no longer gives it up.
        """
        future: Future[Result] = Future()
        self._waiting.append(Waiting(item, self._size(item), self._count(item), future))
        return future

    def wake(self) -> None:
        """Have what was submitted committed. Never waits. Once for many costs less than once for each."""
        if self._waiting:
            with self._wake:
                self._start()
                self._wake.notify()

    def _commit_alone(self, item: Item, size: int) -> Result:
        with calls_within(time_to_write(size)):
            (result,) = self._write([item])
        if isinstance(result, PostroomError):
            raise result
        return result

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        while True:
            batch = self._take()
            try:
                results = self._write([each.item for each in batch])
                answers = list(zip(batch, results, strict=True))
            except BaseException as error:
                for each in batch:
                    each.future.set_exception(error)
            else:
                for each, result in answers:
                    if isinstance(result, PostroomError):
                        each.future.set_exception(result)
                    else:
                        each.future.set_result(result)
            time.sleep(self._pause)

    def _take(self) -> list[Waiting[Item, Result]]:
        batch: list[Waiting[Item, Result]] = []
        size = count = 0
        with self._wake:
            while not batch:
                while not self._waiting:
                    self._wake.wait()
                while self._waiting:
                    first = self._waiting[0]
                    size, count = size + first.size, count + first.count
                    if batch and (size > MAX_BATCH_BYTES or count > self._most):
                        break
                    self._waiting.popleft()
                    if first.future.set_running_or_notify_cancel():
                        batch.append(first)
                    else:
                        size, count = size - first.size, count - first.count
        return batch
