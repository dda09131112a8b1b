"""What a stack that was killed left running. Every process of a stack carries its owner's name."""

import os
import select
import signal
import time
from contextlib import ExitStack
from pathlib import Path

from stack.part import OWNER_VARIABLE

_ENDED_WITHIN_SECONDS = 5.0


def processes_of(owner: str) -> list[int]:
    """The pids of all living processes of this owner, children of children included; without /proc, none."""
    mark = f"{OWNER_VARIABLE}={owner}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and mark in _environment(pid)]


def end_leftovers(owner: str) -> list[int]:
    """SIGKILL every process of this owner and wait until they have ended. Returns what was killed.

    Each is waited for by its pidfd, which is readable once the process has given back its ports and files and
    can be reaped (pidfd_open(2)). The kernel takes its environment away earlier, so that to look again for
    `processes_of` this owner would be too early: the ports may still be taken.
    """
    killed: list[int] = []
    deadline = time.monotonic() + _ENDED_WITHIN_SECONDS
    # A process can begin another one between the look and its end.
    while (found := processes_of(owner)) and time.monotonic() < deadline:
        _kill_all(found, deadline=deadline)
        killed += found
    return killed


def _kill_all(pids: list[int], *, deadline: float) -> None:
    with ExitStack() as opened:
        for pidfd in [_kill(pid, opened) for pid in pids]:
            if pidfd is not None:
                select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))


def _kill(pid: int, opened: ExitStack) -> int | None:
    """The pidfd of the process that was sent a SIGKILL, open until `opened` is left; None if it has ended."""
    try:
        pidfd = os.pidfd_open(pid)
        opened.callback(os.close, pidfd)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return pidfd


def _pids() -> list[int]:
    proc = Path("/proc")
    return [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()] if proc.is_dir() else []


def _environment(pid: int) -> list[bytes]:
    # A zombie's environment is empty, so it doesn't count as living.
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
