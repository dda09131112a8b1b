import hashlib
import hmac
import json
import threading

import pytest

from tests.harness.deadline import wait_until
from tests.integration.simulator.receiver import Receiver
from tests.integration.simulator.running import SECRET, Simulator, simulator


def results(entry: dict[str, list[dict[str, object]]]) -> list[object]:
    return [webhook["result"] for webhook in entry["webhooks"]]


def test_an_accepted_email_is_reported_delivered(provider: Simulator, hooks: Receiver) -> None:
    provider.submit("anna@example.com", request_id="a")
    assert hooks.wait_for(1) == [("a", "DELIVERED")]
    provider.wait_until_quiet()
    assert results(provider.log()[0]) == [204]
    assert provider.ask("a").json() == {"request_id": "a", "STATUS": "DELIVERED"}


def test_a_report_is_signed_over_its_raw_body(provider: Simulator, hooks: Receiver) -> None:
    provider.submit("anna@example.com")
    hooks.wait_for(1)
    (webhook,) = hooks.webhooks
    digest = hmac.new(SECRET.encode(), webhook.body, hashlib.sha256).hexdigest()
    assert webhook.signature == f"sha256={digest}"


def test_a_provider_that_cant_sign_puts_a_token_in_the_path(hooks: Receiver) -> None:
    with simulator("--webhook-url", hooks.url, "--webhook-secret-in-path", "tok", secret="") as unsigned:
        unsigned.submit("anna@example.com")
        hooks.wait_for(1)
    (webhook,) = hooks.webhooks
    assert (webhook.path, webhook.signature) == ("/webhooks/tok", None)


@pytest.mark.parametrize(("tag", "report"), [("webhook-rejected", "REJECTED"), ("webhook-failed", "FAILED")])
def test_a_report_may_be_bad_news(provider: Simulator, hooks: Receiver, tag: str, report: str) -> None:
    provider.submit(f"fault+{tag}@example.com", request_id="a")
    assert hooks.wait_for(1) == [("a", report)]
    assert provider.ask("a").json()["STATUS"] == report


def test_a_refused_email_is_not_reported(provider: Simulator, hooks: Receiver) -> None:
    for tag in ("error", "reject", "504-never", "garbage-200-lost"):
        provider.submit(f"fault+{tag}@example.com")
    provider.submit("anna@example.com", request_id="last")
    provider.wait_until_quiet()
    assert hooks.reports() == [("last", "DELIVERED")]


def test_a_report_may_be_lost_while_the_status_endpoint_knows(provider: Simulator, hooks: Receiver) -> None:
    provider.submit("fault+webhook-lost@example.com", request_id="a")
    provider.wait_until_quiet()
    assert hooks.reports() == []
    assert results(provider.log()[0]) == ["lost"]
    assert provider.ask("a").json()["STATUS"] == "DELIVERED"


def test_a_report_may_come_several_times(provider: Simulator, hooks: Receiver) -> None:
    provider.submit("fault+webhook-dup.3@example.com", request_id="a")
    provider.wait_until_quiet()
    assert hooks.reports() == [("a", "DELIVERED")] * 3


def test_reports_may_come_in_reverse(provider: Simulator, hooks: Receiver) -> None:
    provider.submit("fault+webhook-reversed@example.com", request_id="a")
    provider.wait_until_quiet()
    assert hooks.reports() == [("a", "DELIVERED"), ("a", "FAILED")]
    assert provider.ask("a").json()["STATUS"] == "DELIVERED"


def test_a_report_may_come_before_the_answer(provider: Simulator, hooks: Receiver) -> None:
    provider.submit("fault+webhook-first@example.com")
    (entry,) = provider.log()
    assert len(hooks.webhooks) == 1
    assert entry["webhooks"][0]["at"] <= hooks.webhooks[0].at <= entry["answered_at"]


def test_until_its_report_is_due_an_email_is_only_accepted(provider: Simulator) -> None:
    provider.submit("fault+webhook-late.100@example.com", request_id="a")
    assert provider.ask("a").json()["STATUS"] == "ACCEPTED"
    assert provider.summary()["webhooks"]["pending"] == 1


def test_a_report_may_be_late(provider: Simulator, hooks: Receiver) -> None:
    provider.submit("fault+webhook-late.0.5@example.com", request_id="a")
    hooks.wait_for(1)
    assert hooks.webhooks[0].at - provider.log()[0]["accepted_at"] >= 0.5


def test_reports_overtake_each_other_when_they_are_shuffled(provider: Simulator, hooks: Receiver) -> None:
    provider.faults(webhook_shuffle=1)
    sent = [str(number) for number in range(30)]
    for request_id in sent:
        provider.submit("anna@example.com", request_id=request_id)
    provider.wait_until_quiet()
    came = [request_id for request_id, _ in hooks.reports()]
    assert sorted(came) == sorted(sent)
    assert came != sent


def test_a_report_that_is_not_taken_is_sent_again(provider: Simulator, hooks: Receiver) -> None:
    hooks.answer = lambda number: 503 if number == 0 else 200
    provider.submit("anna@example.com", request_id="a")
    provider.wait_until_quiet()
    assert hooks.reports() == [("a", "DELIVERED")] * 2
    assert results(provider.log()[0]) == [503, 200]
    assert provider.summary()["webhooks"] == {
        "pending": 0,
        "taken": 1,
        "failed_tries": 1,
        "given_up": 0,
        "lost": 0,
    }


def test_in_the_end_a_report_is_given_up(provider: Simulator, hooks: Receiver) -> None:
    hooks.answer = lambda _: 500
    provider.submit("anna@example.com")
    provider.wait_until_quiet()
    assert len(hooks.webhooks) == 3
    assert provider.summary()["webhooks"]["given_up"] == 1


def test_a_receiver_that_is_away_is_tried_again() -> None:
    with simulator(
        "--webhook-url",
        "http://127.0.0.1:9/",
        "--webhook-retry-delays",
        "0.1",
        "--faults",
        '{"webhook_delay": 0}',
    ) as provider:
        provider.submit("anna@example.com")
        provider.wait_until_quiet()
        assert results(provider.log()[0]) == ["ClientConnectorError"] * 2


def test_reports_go_on_while_the_provider_is_down(provider: Simulator, hooks: Receiver) -> None:
    provider.submit("fault+webhook-late.0.5@example.com", request_id="a")
    provider.faults(down={"mode": "refuse"})
    assert hooks.wait_for(1) == [("a", "DELIVERED")]


def test_without_an_address_the_status_endpoint_still_learns_the_end() -> None:
    with simulator("--faults", '{"webhook_delay": 0}') as silent:
        silent.submit("fault+webhook-failed@example.com", request_id="a")
        wait_until(lambda: silent.ask("a").json()["STATUS"] == "FAILED", within=10, what="the delivery ended")
        assert silent.log()[0]["webhooks"] == []


def test_a_webhook_under_way_is_pending_even_when_its_email_is_forgotten(
    provider: Simulator, hooks: Receiver
) -> None:
    let_go = threading.Event()
    hooks.answer = lambda _: 500 * let_go.wait(30)
    provider.submit("anna@example.com")
    hooks.wait_for(1)
    provider.delete("/_log")
    assert provider.summary()["webhooks"]["pending"] == 1
    let_go.set()
    provider.wait_until_quiet()
    assert len(hooks.webhooks) == 1


def test_each_of_several_recipients_has_a_report_of_its_own(hooks: Receiver) -> None:
    with simulator("--extended", "--webhook-url", hooks.url) as extended:
        extended.submit(
            "anna@example.com",
            request_id="a",
            to=["fault+webhook-failed@example.com"],
            cc=["fault+webhook-rejected+webhook-dup.2@example.com"],
            bcc=["fault+webhook-lost@example.com"],
        )
        extended.wait_until_quiet()
        bodies = [json.loads(webhook.body) for webhook in hooks.webhooks]
        told = sorted(body["RECIPIENT"] for body in bodies)
        assert told == [
            "anna@example.com",
            "fault+webhook-failed@example.com",
            *["fault+webhook-rejected+webhook-dup.2@example.com"] * 2,
        ]
        assert sorted(body["STATUS"] for body in bodies) == ["DELIVERED", "FAILED", "REJECTED", "REJECTED"]
        assert extended.ask("a").json()["STATUS"] == "DELIVERED"


def test_only_the_first_recipient_decides_the_answer() -> None:
    with simulator("--extended") as extended:
        refused = extended.submit("anna@example.com", cc=["fault+error@example.com"])
        assert (refused.status_code, refused.json()) == (400, {"errors": ["error counts only in recipient"]})
        assert extended.submit("fault+error@example.com", cc=["anna@example.com"]).status_code == 500
