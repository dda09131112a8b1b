"""Group commit: whoever writes takes everything that waits along in one call. Natural batching, no timers.

A lone item waits for nothing; a thousand that arrive during one round trip share the next.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Generic, TypeVar

from delivery.domain.errors import PostroomError, StoreOutcomeUnknown, StoreUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_BATCH = 500


class GroupCommit(Generic[Item, Result]):
    """Commits items of many threads in batches, on a thread of its own that starts with the first item.

    write: takes the batch, returns for each item in order its result, or the error that this item's caller
    hears; what it raises reaches every caller of that batch. Start it after a fork, never before.
    """

    def __init__(
        self, write: Callable[[Sequence[Item]], Sequence[Result | PostroomError]], *, name: str
    ) -> None:
        self._write = write
        self._name = name
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def commit(self, item: Item, *, within: timedelta) -> Result:
        """Commit one item and wait for it.

        Raises whatever ``write`` raises, or returns as this item's error; StoreUnavailable when the item was
        still waiting at the end of ``within`` (it is withdrawn and never written), StoreOutcomeUnknown when
        it was being written.
        """
        future: Future[Result] = Future()
        deadline = time.monotonic() + within.total_seconds()
        with self._wake:
            self._waiting.append((item, future))
            self._start()
            self._wake.notify()
        try:
            return future.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            if future.cancel():
                raise StoreUnavailable("withdrawn before it was written") from None
            raise StoreOutcomeUnknown("still being written") from None

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            batch = self._take()
            try:
                results = self._write([item for item, _ in batch])
                answers = list(zip(batch, results, strict=True))
            except BaseException as error:
                for _, future in batch:
                    future.set_exception(error)
            else:
                for (_, future), result in answers:
                    if isinstance(result, PostroomError):
                        future.set_exception(result)
                    else:
                        future.set_result(result)

    def _take(self) -> list[tuple[Item, Future[Result]]]:
        batch: list[tuple[Item, Future[Result]]] = []
        with self._wake:
            while not batch:
                while not self._waiting:
                    self._wake.wait()
                while self._waiting and len(batch) < MAX_BATCH:
                    item, future = self._waiting.popleft()
                    if future.set_running_or_notify_cancel():
                        batch.append((item, future))
        return batch
