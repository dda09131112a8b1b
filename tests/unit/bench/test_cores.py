import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from bench.comparison.cores import can_set_apart, store_apart

pytestmark = pytest.mark.skipif(not can_set_apart(), reason="one core")

WITH_A_THREAD = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
print(flush=True)
threading.Event().wait()
"""


@contextmanager
def _running() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", WITH_A_THREAD], stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        one.stdout.readline()
        try:
            yield one.pid
        finally:
            one.kill()


def _cores(pid: int) -> set[int]:
    """Of all its threads, which must be alike."""
    (cores,) = {frozenset(os.sched_getaffinity(thread.id)) for thread in psutil.Process(pid).threads()}
    return set(cores)


def test_the_store_has_a_core_that_nobody_else_runs_on() -> None:
    every = os.sched_getaffinity(0)
    with _running() as store, _running() as worker:
        with store_apart({"store": [store], "workers": [worker]}):
            assert len(_cores(store)) == 1
            assert _cores(worker) == every - _cores(store)
            with _running() as load:
                assert _cores(load) == every - _cores(store)
        assert [_cores(pid) for pid in (store, worker, os.getpid())] == [every] * 3
