"""What a stack that was killed left running. Every process of a stack carries its owner's name."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from stack.part import OWNER_VARIABLE

_GONE_WITHIN_SECONDS = 5.0


def processes_of(owner: str) -> list[int]:
    """The pids of all living processes of this owner, children of children included; without /proc, none."""
    mark = f"{OWNER_VARIABLE}={owner}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and mark in _environment(pid)]


def end_leftovers(owner: str) -> list[int]:
    """SIGKILL every process of this owner and wait until they are gone. Returns what was killed."""
    found = processes_of(owner)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_WITHIN_SECONDS
    while processes_of(owner) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _pids() -> list[int]:
    proc = Path("/proc")
    return [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()] if proc.is_dir() else []


def _environment(pid: int) -> list[bytes]:
    # A zombie's environment is empty, so it doesn't count as living.
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
