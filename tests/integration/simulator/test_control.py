import pytest
import requests

from tests.integration.simulator.running import CALL_S, Simulator


def test_faults_are_merged_shown_and_reset(provider: Simulator) -> None:
    before = provider.get("/_faults")
    provider.faults(error_rate=0.5)
    provider.faults(latency=1, rates={"hang": 0.1})
    assert provider.get("/_faults") == {**before, "error_rate": 0.5, "latency": 1, "rates": {"hang": 0.1}}
    provider.delete("/_faults")
    assert provider.get("/_faults") == before


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (b"{", ["body is not JSON"]),
        (b"[]", ["fault settings must be a JSON object"]),
        (
            b'{"latency": -1, "rates": {"hung": 1}}',
            ["latency: seconds must be a number from 0 to 86400", "rates.hung: unknown fault tag: 'hung'"],
        ),
    ],
)
def test_mistakes_change_nothing_and_are_all_named(
    provider: Simulator, body: bytes, errors: list[str]
) -> None:
    before = provider.get("/_faults")
    response = requests.post(f"{provider.control_url}/_faults", data=body, timeout=CALL_S)
    assert (response.status_code, response.json()) == (400, {"errors": errors})
    assert provider.get("/_faults") == before


def test_the_log_is_read_in_pages(provider: Simulator) -> None:
    for number in range(5):
        provider.submit("anna@example.com", request_id=str(number))
    page = provider.get("/_log?since=1&limit=3")
    assert [entry["request_id"] for entry in page["submissions"]] == ["1", "2", "3"]
    assert [entry["index"] for entry in page["submissions"]] == [1, 2, 3]
    assert (page["next"], page["total"]) == (4, 5)
    assert provider.get("/_log?since=5") == {"submissions": [], "next": 5, "total": 5}


@pytest.mark.parametrize("query", ["since=-1", "since=x", "limit=1.5", f"since={'9' * 30}"])
def test_a_page_that_makes_no_sense_is_refused(provider: Simulator, query: str) -> None:
    response = requests.get(f"{provider.control_url}/_log?{query}", timeout=CALL_S)
    assert response.status_code == 400
    assert response.json() == {"errors": ["since and limit must be whole numbers, 0 or more"]}


def test_clearing_the_log_forgets_what_was_and_what_is_to_come(provider: Simulator) -> None:
    provider.faults(status_budget=1)
    provider.submit("anna@example.com", request_id="a")
    provider.submit("fault+504-then-accept.60@example.com")
    provider.submit("fault+webhook-late.60@example.com")
    for _ in range(2):
        provider.ask("a")
    provider.delete("/_log")
    provider.wait_until_quiet()
    assert provider.summary() == {
        "received": 0,
        "accepted": 0,
        "accepted_ids": [],
        "duplicates": [],
        "answers": {},
        "in_flight": 0,
        "max_in_flight": 0,
        "pending_accepts": 0,
        "webhooks": {"pending": 0, "taken": 0, "failed_tries": 0, "given_up": 0, "lost": 0},
        "status": {"calls": 0, "bans": 0, "most_in_a_minute": 0},
    }
    assert provider.ask("a").status_code == 404


def test_the_control_port_takes_no_emails(provider: Simulator) -> None:
    assert requests.post(f"{provider.control_url}/api/emails", timeout=CALL_S).status_code == 404
