"""Child processes of a stack, with small programs in the place of servers."""

import os
import socket
import sys
from pathlib import Path

import pytest

from stack.leftovers import end_leftovers, processes_of
from stack.part import Part, PartFailed
from tests.harness.deadline import wait_until

_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""

_LARGE = """
import signal, socket
held = b"x" * 300_000_000
listening = socket.create_server(("127.0.0.1", 0))
print("ready", listening.getsockname()[1], flush=True)
signal.pause()
"""
"""To give back that much memory takes the kernel some time, and it does so before it gives back the port."""

_WITH_A_CHILD = """
import signal, subprocess
subprocess.Popen(["sleep", "600"])
print("ready", flush=True)
signal.pause()
"""


def part(folder: Path, program: str) -> Part:
    """A part that is ready once its log says so."""
    log = folder / "part.log"
    return Part(
        "sleeper",
        [sys.executable, "-c", program],
        env=os.environ,
        cwd=folder,
        log=log,
        owner=str(folder),
        ready=lambda: "ready" in log.read_text(),
    )


def test_a_part_that_ends_before_it_is_ready_says_why_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = part(tmp_path, "import sys; print('no such table'); sys.exit(3)")
    broken.start()

    with pytest.raises(PartFailed, match=r"sleeper exited with status 3\n(.*\n)*.*no such table"):
        broken.wait_ready(within=30)


def test_a_part_that_is_never_ready_is_told_apart_from_one_that_died(tmp_path: Path) -> None:
    slow = part(tmp_path, "import signal; signal.pause()")
    slow.start()

    with pytest.raises(PartFailed, match="not ready within"):
        slow.wait_ready(within=0.5)

    slow.kill()


def test_a_part_that_ignores_a_stop_is_killed(tmp_path: Path) -> None:
    stubborn = part(tmp_path, _STUBBORN)
    stubborn.start()
    stubborn.wait_ready(within=30)

    assert stubborn.stop(within=0.5) == -9


def test_a_kill_takes_the_children_too(tmp_path: Path) -> None:
    parent = part(tmp_path, _WITH_A_CHILD)
    parent.start()
    parent.wait_ready(within=30)
    _wait_for_both(tmp_path)

    parent.kill()

    wait_until(lambda: not processes_of(str(tmp_path)), within=10, what="parent and child are gone")


def test_a_part_can_be_started_again(tmp_path: Path) -> None:
    again = part(tmp_path, _WITH_A_CHILD)
    for _ in range(2):
        again.start()
        again.wait_ready(within=30)
        assert again.stop(within=10) == -15


def test_what_a_killed_owner_left_is_found_and_ended(tmp_path: Path) -> None:
    left = part(tmp_path, _WITH_A_CHILD)
    left.start()
    left.wait_ready(within=30)
    _wait_for_both(tmp_path)

    assert len(end_leftovers(str(tmp_path))) == 2

    assert processes_of(str(tmp_path)) == []
    assert left.exit_status() == -9


def test_what_was_left_has_given_back_its_ports_once_it_is_ended(tmp_path: Path) -> None:
    left = part(tmp_path, _LARGE)
    left.start()
    left.wait_ready(within=30)
    port = int(left.log.read_text().split()[1])

    end_leftovers(str(tmp_path))

    socket.create_server(("127.0.0.1", port)).close()


def test_another_owners_processes_are_left_alone(tmp_path: Path) -> None:
    other = part(tmp_path, _WITH_A_CHILD)
    other.start()
    other.wait_ready(within=30)

    assert end_leftovers(f"{tmp_path}-2") == []
    assert end_leftovers(str(tmp_path.parent)) == []

    assert other.running()
    other.kill()


def _wait_for_both(folder: Path) -> None:
    """Parent and child. While it is just being executed, a process shows no environment."""
    wait_until(lambda: len(processes_of(str(folder))) == 2, within=30, what="parent and child are there")
