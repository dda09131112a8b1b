"""The benchmarks' own provider can stand in for the simulator: for who submits, is told, and steers it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from bench.comparison.contenders import plain_provider_part
from simulator.webhooks import signature
from stack.ports import LOOPBACK
from stack.services import Surroundings
from tests.harness.deadline import wait_until
from tests.harness.ports import free_ports
from tests.harness.provider import Provider
from tests.harness.system import inherited_environment
from tests.integration.simulator.receiver import Receiver, receiver

SECRET = "between us"


@pytest.fixture
def told() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def provider(tmp_path: Path, told: Receiver) -> Iterator[Provider]:
    port, control_port = free_ports(2)
    around = Surroundings(environ=inherited_environment(), logs=tmp_path, owner=str(tmp_path))
    part = plain_provider_part(
        around, port=port, control_port=control_port, webhook_url=told.url, secret=SECRET
    )
    part.start()
    part.wait_ready(30)
    running = Provider(f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{control_port}")
    yield running
    running.close()
    part.kill()


def submit(provider: Provider, request_id: str) -> requests.Response:
    return requests.post(f"{provider.url}/api/emails", json={"request_id": request_id}, timeout=30)


def test_an_email_is_accepted_logged_and_reported_with_a_signature(
    provider: Provider, told: Receiver
) -> None:
    answer = submit(provider, "a")
    assert (answer.status_code, answer.json()) == (200, {"STATUS": "ACCEPTED"})
    assert told.wait_for(1) == [("a", "DELIVERED")]
    webhook = told.webhooks[0]
    assert webhook.signature == signature(secret=SECRET.encode(), body=webhook.body)
    wait_until(provider.is_idle, within=30, what="the report was taken")
    assert provider.received() == 1
    assert [submission["request_id"] for submission in provider.submissions()] == ["a"]
    assert provider.submissions(since=1) == []


def test_a_report_is_repeated_until_it_is_taken(provider: Provider, told: Receiver) -> None:
    told.answer = lambda number: 503 if number == 0 else 204
    submit(provider, "a")
    assert told.wait_for(2) == [("a", "DELIVERED")] * 2
    wait_until(provider.is_idle, within=30, what="the report was taken")
    assert provider.summary()["webhooks"] == {"taken": 1, "pending": 0, "failed_tries": 1}


def test_what_is_accepted_twice_is_told(provider: Provider) -> None:
    for request_id in ("a", "a", "b"):
        submit(provider, request_id)
    summary = provider.summary()
    assert (summary["accepted"], summary["duplicates"], summary["accepted_ids"]) == (3, ["a"], ["a", "b"])


def test_reports_can_be_turned_off_and_answers_delayed(provider: Provider, told: Receiver) -> None:
    provider.set_faults(latency=0.2, rates={"webhook-lost": 1.0})
    assert submit(provider, "a").elapsed.total_seconds() >= 0.2
    provider.heal()
    submit(provider, "b")
    assert told.wait_for(1) == [("b", "DELIVERED")]


def test_a_setting_that_it_does_not_have_is_refused(provider: Provider) -> None:
    with pytest.raises(requests.HTTPError, match="400"):
        provider.set_faults(error_rate=0.5)
