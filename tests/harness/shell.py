"""The command line of postroom, as an operator uses it."""

import json
import subprocess
import sys
from typing import Any


class Shell:
    """On the store of the system under test."""

    def __init__(self, mongodb_uri: str) -> None:
        self._environ = {"MONGODB_URI": mongodb_uri, "PATH": "/usr/bin:/bin"}

    def __call__(self, *arguments: str) -> Any:
        """What the command prints as JSON; an AssertionError if it fails."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "cli", *arguments]
        return subprocess.run(command, env=self._environ, capture_output=True, text=True, check=False)
