"""The command line of postroom, on the store and the broker of the system under test."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, Self

from cli.__main__ import main
from stack.services import Wiring


class Shell:
    def __init__(self, mongodb_uri: str, **environ: str) -> None:
        """environ: more of its variables."""
        self.environ = {"MONGODB_URI": mongodb_uri, "PATH": "/usr/bin:/bin", **environ}

    @classmethod
    def of(cls, wiring: Wiring) -> Self:
        """With all that the system's own processes have."""
        key = wiring.recipient_hash_key
        return cls(wiring.mongodb_uri, AMQP_URL=wiring.amqp_url, RECIPIENT_HASH_KEY=key)

    def __call__(self, *arguments: str) -> Any:
        """What the command printed as JSON; an AssertionError if it failed. In this process, to save time."""
        return json.loads(self.text(*arguments, "--json"))

    def text(self, *arguments: str) -> str:
        """What the command printed for people; an AssertionError if it failed. In this process, too."""
        printed, complaints = io.StringIO(), io.StringIO()
        with redirect_stdout(printed), redirect_stderr(complaints):
            status = main(arguments, self.environ)
        assert status == 0, complaints.getvalue()
        return printed.getvalue()

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self._command(arguments), env=self.environ, capture_output=True, text=True, check=False
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """A command that the test may kill."""
        return subprocess.Popen(
            self._command(arguments),
            env=self.environ,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "cli", *arguments]
