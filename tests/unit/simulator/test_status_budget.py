from simulator.status_budget import StatusBudget, StatusCall, StatusLog, most_in_a_window


def answers(budget: StatusBudget, times: list[float], *, limit: int | None = 2, ban: float = 30) -> list[int]:
    return [budget.spend(now=now, budget=limit, ban=ban) for now in times]


def test_the_call_too_many_is_throttled_and_those_after_it_are_banned() -> None:
    assert answers(StatusBudget(), [0, 1, 2, 3, 31.9]) == [200, 200, 429, 403, 403]


def test_a_ban_ends() -> None:
    assert answers(StatusBudget(), [0, 1, 2, 61]) == [200, 200, 429, 200]


def test_after_a_short_ban_the_calls_of_the_last_minute_still_count() -> None:
    assert answers(StatusBudget(), [0, 1, 2, 8, 9], ban=5) == [200, 200, 429, 429, 403]


def test_the_minute_slides() -> None:
    assert answers(StatusBudget(), [0, 59, 60, 61]) == [200, 200, 200, 429]


def test_a_budget_of_none_is_no_limit() -> None:
    assert set(answers(StatusBudget(), [0.0] * 1_000, limit=None)) == {200}


def test_a_budget_of_nothing_bans_at_once() -> None:
    assert answers(StatusBudget(), [0, 1], limit=0) == [429, 403]


def test_a_pardon_ends_the_ban_and_forgets_the_calls() -> None:
    budget = StatusBudget()
    answers(budget, [0, 1, 2])
    budget.pardon()
    assert answers(budget, [3, 4]) == [200, 200]


def test_switching_the_limit_off_ends_a_ban() -> None:
    budget = StatusBudget()
    answers(budget, [0, 1, 2])
    assert answers(budget, [3], limit=None) == [200]


def test_the_busiest_minute_is_counted_over_any_sixty_seconds() -> None:
    assert most_in_a_window([]) == 0
    assert most_in_a_window([0, 10, 59.9, 60, 69.9]) == 4
    assert most_in_a_window([0, 60, 120]) == 1


def test_the_status_log_keeps_every_call_in_order() -> None:
    log = StatusLog()
    for number, answer in enumerate((200, 429, 403)):
        log.add(StatusCall(str(number), float(number), answer))
    assert log.summary() == {"calls": 3, "bans": 1, "most_in_a_minute": 3}
    assert log.page(since=1, limit=1) == {
        "calls": [{"request_id": "1", "at": 1.0, "answer": 429}],
        "next": 2,
        "total": 3,
    }
