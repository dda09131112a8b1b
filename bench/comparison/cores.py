"""Which cores processes run on. For Linux: sched_setaffinity(2) is told of each thread, and inherited."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from bench.comparison.processes import Groups, trees

STORE = "store"


def can_set_apart() -> bool:
    """Whether there are two cores at least."""
    return len(os.sched_getaffinity(0)) > 1


@contextmanager
def store_apart(groups: Groups) -> Iterator[None]:
    """The store has a core to itself meanwhile; all other processes, and what is started here, the others.

    So its work costs nobody a core's time, and whoever asks little of it has no advantage by that. Raises
    ValueError where there is but one core.
    """
    every = os.sched_getaffinity(0)
    if len(every) < 2:
        raise ValueError("the store can't have a core to itself: there is only one")
    apart = {max(every)}
    others = [os.getpid(), *(pid for name, pids in groups.items() if name != STORE for pid in pids)]
    try:
        _keep(others, on=every - apart)
        _keep(groups[STORE], on=apart)  # last: it may be a child of this process
        yield
    finally:
        _keep([*groups[STORE], *others], on=every)


def _keep(pids: Iterable[int], *, on: set[int]) -> None:
    for process in trees(pids):
        for thread in process.threads():
            with suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(thread.id, on)
