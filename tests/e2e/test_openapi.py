"""The real API does what its description says: schemathesis calls it, right and wrong, with all checks."""

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Brokerless
from tests.harness import openapi_hooks
from tests.harness.system import System

CHECKOUT = Path(__file__).resolve().parents[2]
KEY = "a-key"
TOKEN = "a-token"
SECRET = "a-secret"
EXAMPLES = 10
"""Of each route, in each of the phases that make up their own."""

# Keys that it makes up would be refused beside the one that it is given, and nothing else be tested. That an
# email is no longer scheduled (it may cancel it) is answered with 400, as useSend does.
CONFIG = """
[generation]
with-security-parameters = false

[[operations]]
include-path = "/webhooks/mail-delivery-service/{{token}}"
parameters = {{ "path.token" = "{token}" }}

[[operations]]
include-operation-id = "email_reading.reschedule"
parameters = {{ "path.email_id" = "{scheduled}" }}

[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "404"]
"""


@pytest.fixture(scope="module")
def system(start_brokerless: Callable[..., Brokerless]) -> System:
    started: Brokerless = start_brokerless(
        api_key=KEY, webhook_secrets=[SECRET], env={"WEBHOOK_PATH_TOKENS": TOKEN}
    )
    return started.system


@pytest.mark.timeout(1000)  # half a minute, on a machine that has nothing else to do
def test_schemathesis_finds_nothing(system: System, tmp_path: Path) -> None:
    config, report = tmp_path / "schemathesis.toml", tmp_path / "calls.har"
    next_month = datetime.now(UTC) + timedelta(days=30)
    scheduled = system.api.send(send_at=next_month.isoformat())
    config.write_text(CONFIG.format(token=TOKEN, scheduled=scheduled), encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += [f"{system.wiring.api_url}/openapi.json", "--header", f"Authorization: Bearer {KEY}"]
    command += ["--checks", "all", "--mode", "all", "--max-examples", str(EXAMPLES), "--no-color"]
    command += ["--seed", "1"]  # a change fails for what it did, not by luck; `make fuzz` goes on seeking
    command += ["--report", "har", "--report-har-path", str(report)]
    environ = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "SCHEMATHESIS_HOOKS": openapi_hooks.__name__,
        openapi_hooks.SECRET: SECRET,
    }
    # In a folder of its own, where it leaves what it remembers of its last run.
    done = subprocess.run(
        command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert "No issues found" in done.stdout
    check_that_it_came_through(system.api.get("/openapi.json").json(), report)


def check_that_it_came_through(document: Mapping[str, Any], report: Path) -> None:
    """All checks pass where everything is refused at the door: right calls must succeed, wrong ones fail."""
    answers = answers_by_route(document, report)
    called = {path: methods for path, methods in document["paths"].items() if path != "/openapi.json"}
    for path, methods in called.items():
        for method, operation in methods.items():
            statuses = answers[method.upper(), path]
            assert any(status < 300 for status in statuses), (method, path, statuses)
            if "requestBody" in operation:
                assert statuses[400] > EXAMPLES // 2, (method, path, statuses)


def answers_by_route(document: Mapping[str, Any], report: Path) -> dict[tuple[str, str], Counter[int]]:
    """How often each route, as the document writes it, answered with which status."""
    patterns = {re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)): path for path in sorted(document["paths"])}
    answers: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for call in json.loads(report.read_text(encoding="utf-8"))["log"]["entries"]:
        called = re.sub(r"^https?://[^/]+|\?.*$", "", call["request"]["url"])
        for pattern, path in patterns.items():
            if re.fullmatch(pattern, called):
                answers[call["request"]["method"], path][call["response"]["status"]] += 1
                break
    return answers
