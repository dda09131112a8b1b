"""One process of the stack: start it, wait until it is ready, stop it, kill it, say why it ended."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

OWNER_VARIABLE = "POSTROOM_STACK"
"""In the environment of every process of a stack and of its children: who owns them. See leftovers.py."""

_POLL_SECONDS = 0.05
_TAIL_LINES = 15


class PartFailed(Exception):
    """A part ended, or did not become ready. The text names it, says why, and has the tail of its log."""

    def __init__(self, part: str, reason: str, log: Path) -> None:
        tail = log_tail(log)
        super().__init__(f"{part} {reason}" + (f"\n  end of {log}:\n{tail}" if tail else ""))
        self.part = part
        self.reason = reason


def log_tail(log: Path) -> str:
    """The last lines of a log, indented; empty if there is none."""
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            return "".join(f"    {line.rstrip()}\n" for line in deque(lines, maxlen=_TAIL_LINES)).rstrip("\n")
    except FileNotFoundError:
        return ""


class Part:
    """A child process in a session of its own, so that a Ctrl-C in the terminal reaches only its parent.

    It can be started again after it ended: same arguments, ports and folders. `ready` is asked often and
    must answer within about a second. Start it from the main thread: Linux then kills it with its parent
    (prctl PR_SET_PDEATHSIG, which watches the thread that started the child).
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        owner: str,
        ready: Callable[[], bool],
    ) -> None:
        self.name = name
        self.log = log
        self._argv = list(argv)
        self._env = {**env, OWNER_VARIABLE: owner}
        self._cwd = cwd
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        self._group_ended = False

    @property
    def pid(self) -> int:
        """Of the process itself, not of a shell around it. Raises LookupError before the first start."""
        if self._process is None:
            raise LookupError(f"{self.name} was never started")
        return self._process.pid

    def start(self) -> None:
        """Start the process; its output is appended to the log. Raises RuntimeError if it still runs."""
        if self.running():
            raise RuntimeError(f"{self.name} runs already, with pid {self.pid}")
        self._group_ended = False
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_killed_with_parent(), *self._argv],
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def exit_status(self) -> int | None:
        """As subprocess has it (negative: the signal that killed it); None while it runs or never ran."""
        return None if self._process is None else self._process.poll()

    def is_ready(self) -> bool:
        """Whether it does its work, now."""
        return self._ready()

    def wait_ready(self, within: float) -> None:
        """Return when the part does its work. Raises PartFailed if it ends, or needs more than `within` s."""
        deadline = time.monotonic() + within
        while True:
            self.check_running()
            if self.is_ready():
                return
            if time.monotonic() > deadline:
                raise PartFailed(self.name, f"was not ready within {within:g} s", self.log)
            time.sleep(_POLL_SECONDS)

    def check_running(self) -> None:
        """Raises PartFailed, with the reason and the end of the log, if the part is not running."""
        if not self.running():
            raise PartFailed(self.name, describe_exit(self.exit_status()), self.log)

    def terminate(self) -> None:
        """Ask the process to end (SIGTERM), without waiting."""
        if self.running():
            os.kill(self.pid, signal.SIGTERM)

    def stop(self, within: float) -> int:
        """SIGTERM, then SIGKILL for what is not gone `within` seconds. Returns the exit status."""
        self.terminate()
        if self._process is None:
            return 0
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(within, 0.0))
        return self.kill()

    def kill(self) -> int:
        """SIGKILL to the process and to all of its group. Returns the exit status."""
        if self._process is None:
            return 0
        # The group may outlive its leader, but once killed its number may become somebody else's.
        if not self._group_ended:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._group_ended = True
        return self._process.wait()


def describe_exit(status: int | None) -> str:
    """The predicate of a sentence about an exit status: "exited with status 1"."""
    if status is None:
        return "was not started"
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"exited with status {status}"


def _killed_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return []
    return [setpriv, "--pdeathsig", "KILL", "--"]
