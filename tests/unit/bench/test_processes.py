import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.comparison.processes import wait_until_calm


@contextmanager
def _running(program: str) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", f"print(flush=True)\n{program}"], stdout=subprocess.PIPE
    ) as one:
        assert one.stdout is not None
        one.stdout.readline()
        try:
            yield one.pid
        finally:
            one.kill()


def test_a_process_that_waits_is_calm() -> None:
    with _running("import sys, threading; threading.Event().wait()") as pid:
        assert wait_until_calm([pid], within=60)


def test_one_that_works_is_not() -> None:
    with _running("while True: pass") as pid:
        assert not wait_until_calm([pid], within=1)
