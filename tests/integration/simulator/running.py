"""A simulator process, and the calls that tests make to it."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from tests.harness.deadline import wait_until

SECRET = "between-the-two-of-us"
CALL_S = 30.0
STOP_S = 10.0


class Simulator:
    """A running simulator. Its ready line said where it listens."""

    def __init__(self, process: subprocess.Popen[str], ready_line: str) -> None:
        self.process = process
        self.ready_line = ready_line
        words = ready_line.split()
        self.url = words[3]
        self.control_url = words[5].rstrip(")") if len(words) > 5 else self.url

    def submit(
        self, recipient: str, *, request_id: str | None = None, **changes: object
    ) -> requests.Response:
        """Submits an email on a connection of its own. Raises requests' errors."""
        return requests.post(
            f"{self.url}/api/emails", json=submission(recipient, request_id, **changes), timeout=CALL_S
        )

    def ask(self, request_id: str) -> requests.Response:
        return requests.get(f"{self.url}/api/emails/{request_id}", timeout=CALL_S)

    def faults(self, **settings: object) -> dict[str, Any]:
        """Changes the settings that are named and returns all of them."""
        response = requests.post(f"{self.control_url}/_faults", json=settings, timeout=CALL_S)
        response.raise_for_status()
        return dict(response.json())

    def get(self, path: str) -> dict[str, Any]:
        response = requests.get(f"{self.control_url}{path}", timeout=CALL_S)
        response.raise_for_status()
        return dict(response.json())

    def delete(self, path: str) -> None:
        requests.delete(f"{self.control_url}{path}", timeout=CALL_S).raise_for_status()

    def log(self) -> list[dict[str, Any]]:
        return list(self.get("/_log")["submissions"])

    def summary(self) -> dict[str, Any]:
        return self.get("/_log/summary")

    def wait_until_quiet(self) -> None:
        """Until nothing is to come any more: no call, no acceptance, no webhook."""

        def quiet() -> bool:
            now = self.summary()
            return not (now["in_flight"] or now["pending_accepts"] or now["webhooks"]["pending"])

        wait_until(quiet, within=60, what="the provider has nothing left to do")


def submission(recipient: str, request_id: str | None = None, **changes: object) -> dict[str, object]:
    """The body of a submission."""
    return {
        "request_id": request_id or str(uuid.uuid4()),
        "sender": "shop@example.com",
        "recipient": recipient,
        "message": "hello",
        **changes,
    }


@contextmanager
def simulator(*options: str, secret: str = SECRET) -> Iterator[Simulator]:
    """Runs `python -m simulator` on a free port until the block ends."""
    process = start(*options, secret=secret)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the simulator did not start: {process.communicate()[1]}")
        yield Simulator(process, line.strip())
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def start(*options: str, secret: str = SECRET) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", *options],
        env={**os.environ, "SIMULATOR_WEBHOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
