"""What the consumers' loops say that they did, in ``GET /metrics``."""

import requests

from tests.harness.system import System


def counted(system: System, name: str) -> int:
    """The sum of a counter over its states and over the consumers that run. name: as consumers/counters.py
    has it."""
    total = 0
    for url, part in zip(system.consumers_health, system.consumers, strict=True):
        if not part.running():
            continue
        answer = requests.get(url.replace("/readyz", "/metrics"), timeout=10)
        answer.raise_for_status()
        lines = [line.split(" ") for line in answer.text.splitlines() if not line.startswith("#")]
        total += sum(int(value) for key, value in lines if key.split("{")[0] == f"postroom_{name}_total")
    return total
