import threading

import pytest
import requests

from tests.harness.deadline import wait_until
from tests.integration.simulator.running import CALL_S, Simulator, simulator, submission


def test_an_email_is_accepted(provider: Simulator) -> None:
    response = provider.submit("anna@example.com")
    assert (response.status_code, response.json()) == (200, {"STATUS": "ACCEPTED"})


def test_a_body_that_breaks_the_contract_is_refused_with_every_reason(provider: Simulator) -> None:
    response = requests.post(
        f"{provider.url}/api/emails", json={"request_id": "7", "sender": 1}, timeout=CALL_S
    )
    assert response.status_code == 400
    assert response.json() == {
        "errors": ["missing recipient", "missing message", "sender is not text"],
    }
    (entry,) = provider.log()
    assert (entry["request_id"], entry["answer"], entry["accepted_at"]) == ("7", "invalid", None)


def test_extra_fields_are_taken_only_by_an_extended_provider(provider: Simulator) -> None:
    assert provider.submit("anna@example.com", subject="hi", text="hello").status_code == 400
    with simulator("--extended") as extended:
        assert extended.submit("anna@example.com", subject="hi", text="hello").status_code == 200


def test_an_unknown_tag_is_refused_so_that_a_typo_shows(provider: Simulator) -> None:
    response = provider.submit("fault+hung@example.com")
    assert (response.status_code, response.json()) == (400, {"errors": ["unknown fault tag: 'hung'"]})


@pytest.mark.parametrize(
    ("tag", "status", "body"),
    [
        ("error", 500, '{"STATUS":"ERROR"}'),
        ("200-error", 200, '{"STATUS":"ERROR"}'),
        ("reject", 400, '{"error":"recipient refused"}'),
        ("401", 401, '{"error":"bad credential"}'),
        ("422", 422, '{"error":"content refused"}'),
        ("503", 503, "<html>"),
        ("504-never", 504, "<html>"),
        ("garbage-200", 200, "<html>"),
        ("garbage-500", 500, "<html>"),
    ],
)
def test_a_tagged_email_is_answered_as_its_tag_says(
    provider: Simulator, tag: str, status: int, body: str
) -> None:
    response = provider.submit(f"fault+{tag}@example.com")
    assert response.status_code == status
    assert response.text.startswith(body)
    (entry,) = provider.log()
    assert (entry["answer"], entry["answer_status"]) == (tag, status)


def test_a_throttle_says_when_to_come_back(provider: Simulator) -> None:
    provider.faults(retry_after=7)
    response = provider.submit("fault+429@example.com")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")


def test_a_counted_fault_wears_off(provider: Simulator) -> None:
    answers = [provider.submit("fault+error.2@example.com", request_id="a").status_code for _ in range(3)]
    assert answers == [500, 500, 200]
    assert provider.summary()["accepted_ids"] == ["a"]


def test_a_double_submission_is_a_double_email(provider: Simulator) -> None:
    for _ in range(2):
        provider.submit("anna@example.com", request_id="twice")
    provider.submit("anna@example.com", request_id="once")
    summary = provider.summary()
    assert (summary["received"], summary["accepted"], summary["duplicates"]) == (3, 3, ["twice"])


def test_until_it_is_accepted_late_an_email_is_unknown(provider: Simulator) -> None:
    assert provider.submit("fault+504-then-accept.100@example.com", request_id="late").status_code == 504
    assert provider.summary()["pending_accepts"] == 1
    assert provider.ask("late").status_code == 404


def test_a_timeout_may_be_followed_by_an_acceptance(provider: Simulator) -> None:
    assert provider.submit("fault+504-then-accept.0.5@example.com", request_id="late").status_code == 504
    provider.wait_until_quiet()
    (entry,) = provider.log()
    assert entry["accepted_at"] - entry["answered_at"] >= 0.5
    assert provider.ask("late").json()["STATUS"] == "DELIVERED"


def test_a_slow_email_takes_its_time(provider: Simulator) -> None:
    assert provider.submit("fault+slow.0.5@example.com").status_code == 200
    (entry,) = provider.log()
    assert entry["answered_at"] - entry["received_at"] >= 0.5


def test_latency_holds_for_every_email(provider: Simulator) -> None:
    provider.faults(latency={"distribution": "uniform", "low": 0.2, "high": 0.3})
    provider.submit("anna@example.com")
    (entry,) = provider.log()
    assert entry["answered_at"] - entry["received_at"] >= 0.2


def test_an_email_is_accepted_though_its_caller_hung_up(provider: Simulator) -> None:
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{provider.url}/api/emails", json=submission("fault+slow.1@example.com", "gone"), timeout=0.2
        )
    provider.wait_until_quiet()
    (entry,) = provider.log()
    assert entry["accepted_at"] is not None
    assert (entry["answered_at"], entry["answer_status"]) == (None, None)


@pytest.mark.parametrize(("tag", "accepted"), [("hang", 0), ("hang-accepted", 1)])
def test_a_hanging_call_lasts_until_its_caller_hangs_up(provider: Simulator, tag: str, accepted: int) -> None:
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{provider.url}/api/emails", json=submission(f"fault+{tag}@example.com"), timeout=0.3)
    provider.wait_until_quiet()
    assert provider.summary()["accepted"] == accepted
    assert provider.log()[0]["answered_at"] is None


def test_calls_in_flight_are_counted(provider: Simulator) -> None:
    callers = [threading.Thread(target=provider.submit, args=("fault+slow.3@example.com",)) for _ in range(5)]
    for caller in callers:
        caller.start()
    wait_until(lambda: provider.summary()["in_flight"] == 5, within=10, what="five calls are in flight")
    for caller in callers:
        caller.join()
    assert provider.summary()["in_flight"] == 0
    assert provider.summary()["max_in_flight"] == 5


def test_beyond_its_capacity_it_answers_429_at_once(provider: Simulator) -> None:
    provider.faults(capacity={"calls": 2})
    slow = [threading.Thread(target=provider.submit, args=("fault+slow.3@example.com",)) for _ in range(2)]
    for caller in slow:
        caller.start()
    wait_until(lambda: provider.summary()["in_flight"] == 2, within=10, what="two are at work")
    refused = provider.submit("anna@example.com")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    for caller in slow:
        caller.join()
    assert provider.submit("anna@example.com").status_code == 200
    assert provider.summary()["answers"] == {"accepted": 3, "over-capacity": 1}


def test_beyond_its_capacity_it_may_be_slow(provider: Simulator) -> None:
    provider.faults(capacity={"calls": 1, "beyond": "slow"})
    first = threading.Thread(target=provider.submit, args=("fault+slow.2@example.com",))
    first.start()
    wait_until(lambda: provider.summary()["in_flight"] == 1, within=10, what="one is at work")
    provider.submit("fault+slow.0.5@example.com")
    first.join()
    alone, beside = sorted(provider.log(), key=lambda entry: entry["index"])
    assert beside["answered_at"] - beside["received_at"] >= 1.0
    assert alone["answer"] == beside["answer"] == "accepted"


def test_rates_hit_emails_without_a_tag(provider: Simulator) -> None:
    provider.faults(error_rate=0.5, rates={"429": 0.5})
    with requests.Session() as session:
        for _ in range(40):
            session.post(f"{provider.url}/api/emails", json=submission("anna@example.com"), timeout=CALL_S)
    answers = provider.summary()["answers"]
    assert set(answers) == {"error", "429"}


def test_the_same_seed_misbehaves_the_same_way() -> None:
    def answers() -> list[str]:
        with simulator("--seed", "7", "--faults", '{"error_rate": 0.5}') as seeded:
            for _ in range(20):
                seeded.submit("anna@example.com")
            return [entry["answer"] for entry in seeded.log()]

    first = answers()
    assert set(first) == {"error", "accepted"}
    assert answers() == first
