"""`python -m stack run` or `make run` as a real process, with its own folder and free ports."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.leftovers import end_leftovers, processes_of
from stack.services import CHECKOUT
from tests.harness.deadline import wait_until
from tests.harness.ports import free_ports

_READY = re.compile(r"^postroom is ready: (http://127\.0\.0\.1:\d+)$", re.MULTILINE)
_GIVEN = ("AMQP_URL", "MONGODB_URI", "PROVIDER_URL", "WEBHOOK_SECRETS", "API_PORT", "API_KEYS")
_PORT_OPTIONS = (
    "--amqp-port",
    "--management-port",
    "--prometheus-port",
    "--distribution-port",
    "--epmd-port",
    "--store-port",
    "--api-port",
    "--simulator-port",
    "--simulator-control-port",
)


class StackRun:
    """One run. `options` come after free ports, and so outdo them."""

    def __init__(
        self,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        through_make: bool = False,
    ) -> None:
        self.folder = folder
        self.owner = str(folder.resolve())
        folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor, output_name = tempfile.mkstemp(prefix="output-", dir=folder.parent)
        self._output = Path(output_name)
        arguments = [*run_arguments(folder), *options]
        argv = [sys.executable, "-m", "stack", "run", *arguments]
        if through_make:
            argv = ["make", "--no-print-directory", "run", f"ARGS={' '.join(arguments)}"]
        inherited = {name: value for name, value in os.environ.items() if name not in _GIVEN}
        with os.fdopen(descriptor, "wb") as output:
            self.process = subprocess.Popen(
                argv,
                cwd=CHECKOUT,
                env={**inherited, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def wait_ready(self) -> str:
        """Wait for the last line of readiness and return the API's address."""

        def ready() -> str:
            found = _READY.search(self.output())
            assert found or self.process.poll() is None, f"ended early:\n{self.output()}"
            assert found, f"not ready yet:\n{self.output()}"
            return found[1]

        return wait_until(ready, within=120, what="postroom is ready")

    def processes(self) -> list[int]:
        """What it has started and is alive."""
        return processes_of(self.owner)

    def terminate(self, *, within: float) -> int:
        """SIGTERM, and the exit status. Raises subprocess.TimeoutExpired."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    def close(self) -> None:
        """Make sure that nothing is left, whatever the test did."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        end_leftovers(self.owner)


def run_arguments(folder: Path) -> list[str]:
    """For `stack run`: this folder, and free ports only."""
    ports = zip(_PORT_OPTIONS, free_ports(len(_PORT_OPTIONS)), strict=True)
    return ["--folder", str(folder), *(word for option, port in ports for word in (option, str(port)))]
