"""What README.md shows is what happens: its commands are run as they stand there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from delivery.config_values import EXTRA_FIELDS
from tests.e2e.conftest import Whole
from tests.harness import readme
from tests.harness.programs import need
from tests.harness.shell import Shell
from tests.harness.system import System


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    return start_whole(
        simulator_options=["--extended"], env={"PROVIDER_EXTRA_FIELDS": ",".join(EXTRA_FIELDS)}
    )


@pytest.fixture
def system(whole: Whole) -> System:
    return whole.system


def shell(script: str, system: System, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run lines of the README, at the address of this system's API."""
    need("curl", "openssl")
    script = script.replace("http://127.0.0.1:8080", system.api.url)
    return subprocess.run(
        ["bash", "-euc", script],
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=True,
    )


def example_after(script: str) -> dict[str, Any]:
    """The answer that the README shows first behind a command."""
    text = readme.README.read_text(encoding="utf-8")
    match = re.search(r"^```json\n(.*?)^```$", text[text.index(script) :], re.M | re.S)
    assert match is not None
    example: dict[str, Any] = json.loads(match[1])
    return example


def script_with(text: str) -> str:
    return next(block for block in readme.blocks("sh") if text in block)


def shape(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what differs each time: ids and times."""
    differs = ("request_id", "accepted_at", "updated_at")
    return {key: type(value) if key in differs else value for key, value in answer.items()}


def test_an_email_is_sent_and_asked_about(system: System) -> None:
    sending = script_with("/send")
    answer = json.loads(shell(sending, system).stdout)
    assert shape(answer) == shape(example_after(sending))

    system.api.wait_for_detail(answer["request_id"], "delivered")
    asking = script_with("/status/")
    status = json.loads(shell(asking, system, REQUEST_ID=answer["request_id"]).stdout)
    assert shape(status) == shape(example_after(asking))


def test_a_rich_email_is_sent_to_all_its_recipients(system: System) -> None:
    sending = script_with("/api/v1/emails")
    answer = json.loads(shell(sending, system).stdout)
    assert answer.keys() == example_after(sending).keys()
    system.api.wait_for_detail(answer["emailId"], "delivered")
    (submission,) = system.provider.submissions_of(answer["emailId"])
    assert submission["recipients"] == ["ann@example.com", "ben@example.com"]


def test_a_scheduled_email_is_rescheduled_and_another_is_taken_back(system: System) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    earlier, back = (system.api.send(send_at=later) for _ in range(2))
    for script, email_id, detail in (("PATCH", earlier, "delivered"), ("/cancel", back, "canceled")):
        answer = json.loads(shell(script_with(script), system, EMAIL_ID=email_id).stdout)
        assert answer == {"emailId": email_id}
        system.api.wait_for_detail(email_id, detail)


def test_an_email_without_a_recipient_is_denied(system: System) -> None:
    (denied,) = (block for block in readme.blocks("sh") if "/send" in block and "recipient" not in block)
    assert json.loads(shell(denied, system).stdout) == example_after(denied)


def test_a_caller_waits_for_the_answer_of_the_provider(system: System) -> None:
    waiting = script_with("Prefer: wait=5").replace("curl -sS", "curl -sS -i")
    head, _, body = shell(waiting, system).stdout.partition("\n\n")
    assert f"HTTP/1.1 {HTTPStatus.OK.value} " in head
    assert "Preference-Applied: wait=5" in head
    assert json.loads(body)["detail"] in ("submitted", "delivered")


def test_a_webhook_is_signed(system: System) -> None:
    request_id = system.api.send(recipient="fault+webhook-lost@example.com")
    system.api.wait_for_detail(request_id, "submitted")
    signing = script_with("X-Signature")
    secret = system.wiring.webhook_secrets
    answer = json.loads(shell(signing, system, REQUEST_ID=request_id, WEBHOOK_SECRET=secret).stdout)
    assert answer == example_after(signing)
    system.api.wait_for_detail(request_id, "delivered")


def test_a_service_publishes_an_email_and_publishing_it_again_is_harmless(
    whole: Whole, tmp_path: Path
) -> None:
    program = tmp_path / "publish.py"
    program.write_text(readme.publisher(), encoding="utf-8")
    system = whole.system

    def publish() -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, str(program)],
            env={"AMQP_URL": whole.vhost.service_url},
            capture_output=True,
            text=True,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    first = publish()
    assert shape(first) == shape(example_after("publish.py\n```"))
    assert publish() == first
    system.api.wait_for_status(first["request_id"], "sent")
    system.provider.assert_accepted_once([first["request_id"]])


def test_the_secrets_of_the_containers_are_made(tmp_path: Path) -> None:
    shutil.copy(readme.README.with_name(".env.example"), tmp_path)
    subprocess.run(["bash", "-euc", script_with(".env.example")], cwd=tmp_path, check=True)
    made = (tmp_path / ".env").read_text(encoding="utf-8")
    assert not re.findall(r"^\w+=$", made, re.M)
    secrets = re.findall(r"^\w+=([0-9a-f]{32})$", made, re.M)
    assert len(secrets) == len(set(secrets)) >= 5
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_every_command_of_the_shell_does_what_it_is_shown_for(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test here: once there are keys, nobody calls without one."""
    ids = {
        "$REQUEST_ID": system.api.send(),
        "$SCHEDULED_ID": system.api.send(send_at=(datetime.now(UTC) + timedelta(days=1)).isoformat()),
    }
    monkeypatch.chdir(tmp_path)
    running = {"pid": os.getpid(), "api_url": system.api.url}
    (tmp_path / ".postroom").mkdir()
    (tmp_path / ".postroom" / "running.json").write_text(json.dumps(running), encoding="utf-8")
    postroom = Shell.of(system.wiring)
    lines = [line for block in readme.blocks("sh") for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("./postroom ")]
    assert len(commands) >= 15
    for command in commands:
        words = [ids.get(word, word) for word in command]
        if words[:2] == ["keys", "revoke"]:
            words[-1] = postroom("keys", "list", words[2])[0]["key"]
        assert postroom.text(*words), command
