"""What is to be done soon, together with what else comes until then."""

import threading
from collections.abc import Callable
from datetime import timedelta


class Soon:
    """Calls on a thread of its own, which starts when it is first asked, in the process that asks.

    call: never fails. interval: from being asked to the call; who asks meanwhile asks for the same one.
    """

    def __init__(self, call: Callable[[], None], *, interval: timedelta, name: str) -> None:
        self._call = call
        self._interval = interval.total_seconds()
        self._name = name
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """From any thread; never waits."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._asked.set()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._asked.wait()
            self._asked.clear()
            pause.wait(self._interval)
            self._call()
