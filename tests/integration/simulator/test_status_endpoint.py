import requests

from tests.integration.simulator.running import CALL_S, Simulator


def test_what_was_never_accepted_is_unknown(provider: Simulator) -> None:
    provider.submit("fault+504-never@example.com", request_id="a")
    response = provider.ask("a")
    assert (response.status_code, response.json()) == (404, {"STATUS": "UNKNOWN"})


def test_the_one_who_asks_too_often_is_banned(provider: Simulator) -> None:
    provider.faults(status_budget=2, status_ban=60)
    answers = [provider.ask("a") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [404, 404, 429, 403]
    assert answers[2].headers["Retry-After"] == "60"
    assert provider.summary()["status"] == {"calls": 4, "bans": 1, "most_in_a_minute": 4}


def test_the_budget_is_sixty_and_can_be_switched_off(provider: Simulator) -> None:
    with requests.Session() as session:
        url = f"{provider.url}/api/emails/a"
        answers = [session.get(url, timeout=CALL_S).status_code for _ in range(61)]
        assert answers == [404] * 60 + [429]
        provider.faults(status_budget=None)
        assert {session.get(url, timeout=CALL_S).status_code for _ in range(100)} == {404}


def test_every_call_is_logged_with_its_time(provider: Simulator) -> None:
    provider.faults(status_budget=1)
    for request_id in ("a", "b", "c"):
        provider.ask(request_id)
    page = provider.get("/_log/status?since=1")
    assert [(call["request_id"], call["answer"]) for call in page["calls"]] == [("b", 429), ("c", 403)]
    assert page["calls"][0]["at"] <= page["calls"][1]["at"]
    assert (page["next"], page["total"]) == (3, 3)
