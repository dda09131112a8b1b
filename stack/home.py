"""The data folder of a stack (`.postroom/`): one run at a time, its logs, and where a running one is."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


class AlreadyRunning(Exception):
    """Another run uses the folder. The text says which."""


class NotRunning(Exception):
    """No stack runs in this folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStack:
    """Where a stack that is ready can be reached, with our own logins.

    provider_control_url: None if the provider isn't ours.
    """

    pid: int
    api_url: str
    mongodb_uri: str
    amqp_url: str
    provider_control_url: str | None


class Home:
    """`owner` marks the processes that were started for this folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.logs = self.folder / "log"
        self.owner = str(self.folder)
        self._running = self.folder / "running.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder. The lock goes with the process, however it ends. Raises AlreadyRunning."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(self._who_runs()) from None
            yield

    def start_new_logs(self) -> None:
        """Keep the logs of the last run as `*.log.1`, so that the new ones tell of this run only."""
        self.logs.mkdir(exist_ok=True)
        for log in self.logs.glob("*.log"):
            log.replace(log.with_name(log.name + ".1"))

    @contextmanager
    def announced(self, running: RunningStack) -> Iterator[None]:
        """Let others find the stack while the block runs."""
        self._running.touch(mode=0o600)
        self._running.write_text(json.dumps(asdict(running)), encoding="utf-8")
        try:
            yield
        finally:
            self._running.unlink(missing_ok=True)

    def running_stack(self) -> RunningStack:
        """Raises NotRunning."""
        try:
            running = RunningStack(**json.loads(self._running.read_text(encoding="utf-8")))
            os.kill(running.pid, 0)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            raise NotRunning(f"no postroom runs in {self.folder}: start it with `make run`") from None
        return running

    def _who_runs(self) -> str:
        try:
            running = self.running_stack()
        except NotRunning:
            return f"postroom is already starting or stopping in {self.folder}"
        return f"postroom already runs in {self.folder}: {running.api_url} (pid {running.pid})"
