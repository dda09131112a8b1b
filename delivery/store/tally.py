"""Changes of counts, collected in memory and written together: no email pays a call to the store for them."""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta

from delivery.domain.counts import Bin, Changes, Place
from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.store.soon import Soon

log = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=1)


class Tally:
    """Safe to use from many threads.

    What a process has not written when it is killed, or when the store leaves it open whether a write
    happened, may be missing until the next recount: the changes of about a second.
    """

    def __init__(self, write: Callable[[Changes], None], *, interval: timedelta = INTERVAL) -> None:
        self._write = write
        self._soon = Soon(self.flush, interval=interval, name="counting")
        self._changes: Changes = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add(self, changes: Mapping[tuple[Place, Bin], int]) -> None:
        """Never waits for the store, never fails."""
        if not changes:
            return
        with self._lock:
            for key, by in changes.items():
                self._changes[key] = self._changes.get(key, 0) + by
        self._soon.ask()

    def flush(self) -> None:
        """Write what there is; never fails. While the store is away it stays here."""
        with self._writing:
            with self._lock:
                changes, self._changes = self._changes, {}
            changes = {key: by for key, by in changes.items() if by}
            if not changes:
                return
            try:
                self._write(changes)
            except StoreOutcomeUnknown:
                log.warning("counts may not be written; the next recount corrects them")
            except StoreUnavailable:
                self._put_back(changes)
                self._soon.ask()
            except Exception as error:
                log.error("counts not written; the next recount corrects them error=%s", type(error).__name__)

    def _put_back(self, changes: Changes) -> None:
        with self._lock:
            for key, by in changes.items():
                self._changes[key] = self._changes.get(key, 0) + by
