"""`python -m topology`, run as a command."""

import os
import subprocess
import sys

import pytest

from tests.harness.broker import VirtualHost


def topology(*arguments: str, amqp_url: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "AMQP_URL"}
    if amqp_url is not None:
        environment["AMQP_URL"] = amqp_url
    return subprocess.run(
        [sys.executable, "-m", "topology", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_show_needs_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")  # a narrow terminal cuts no name in pieces
    shown = topology("show", "--delay-step", "10m", "20m")
    assert shown.returncode == 0
    for name in ("email.ingest.critical", "delay.10m", "delay.20m", "policymaker"):
        assert name in shown.stdout
    assert "delay.15m" not in shown.stdout


def test_declare_and_check_agree(vhost: VirtualHost) -> None:
    before = topology("check", amqp_url=vhost.url)
    assert before.returncode == 1
    assert "missing: queue email.bulk" in before.stdout.splitlines()

    declared = topology("declare", "--amqp-url", vhost.url)
    assert declared.returncode == 0

    after = topology("check", "--management-url", vhost.server.management.url, amqp_url=vhost.url)
    assert (after.returncode, after.stdout, after.stderr) == (0, "the broker has what it should\n", "")


def test_the_steps_of_another_schedule_are_declared_and_the_old_ones_noted(declared: VirtualHost) -> None:
    outcome = topology("declare", "--delay-step", "10m", amqp_url=declared.url)
    assert outcome.returncode == 0
    checked = topology(
        "check",
        "--delay-step",
        "10m",
        "--management-url",
        declared.server.management.url,
        amqp_url=declared.url,
    )
    assert checked.returncode == 0
    assert "note: exchange delay.6h: not of this topology" in checked.stdout


def test_a_difference_is_reported_by_check_and_declare(vhost: VirtualHost) -> None:
    classic = {"durable": True, "arguments": {"x-queue-type": "classic"}}
    vhost.server.management.request("PUT", "queues", vhost.name, "email.dead", json=classic)
    checked = topology("check", amqp_url=vhost.url)
    assert checked.returncode == 1
    assert "different: queue email.dead: x-" in checked.stdout

    declared = topology("declare", amqp_url=vhost.url)
    assert declared.returncode == 1
    assert declared.stderr.startswith("queue email.dead exists, but differs: x-")
    assert len(declared.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["check"], "no broker given"),
        (["declare", "--amqp-url", "rabbit"], "not of the form amqp://"),
        (
            ["declare", "--amqp-url", "amqp://shop:secret@127.0.0.1:1/"],
            "the broker at 127.0.0.1:1 can't be asked",
        ),
        (["show", "--delay-step", "soon"], "delay step 'soon' is not"),
    ],
)
def test_what_can_not_be_asked_is_one_clear_line(arguments: list[str], reason: str) -> None:
    outcome = topology(*arguments)
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert reason in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert "secret" not in outcome.stderr


def test_a_refused_login_a_missing_vhost_and_a_missing_management_api_are_one_clear_line(
    declared: VirtualHost,
) -> None:
    refused = topology(
        "check", amqp_url=declared.server.url(declared.name, user="nobody", password="wrong-secret")
    )
    missing = topology("check", amqp_url=f"{declared.url}-missing")
    no_management = topology("check", "--management-url", "http://127.0.0.1:1", amqp_url=declared.url)
    assert [outcome.returncode for outcome in (refused, missing, no_management)] == [2, 2, 2]
    assert "ACCESS_REFUSED" in refused.stderr
    assert "wrong-secret" not in refused.stderr
    assert "no such virtual host" in missing.stderr
    assert no_management.stderr == "no management API answers at http://127.0.0.1:1\n"
