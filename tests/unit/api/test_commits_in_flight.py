from concurrent.futures import Future
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from api.commits_in_flight import CommitsInFlight
from api.fast_path import Begun
from api.told import Told
from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable

LONG = timedelta(minutes=1)
NO_TIME = timedelta(0)


def _tell(result: Any) -> Told:
    return Told(HTTPStatus.OK, {"result": result})


class Loop:
    """In flight are connections by their names."""

    def __init__(self) -> None:
        self.woken = 0
        self.commits: CommitsInFlight[str] = CommitsInFlight(self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def begin(self, connection: str, *, within: timedelta = LONG) -> Future[Any]:
        commit: Future[Any] = Future()
        self.commits.add(connection, Begun(commit, within, _tell))
        return commit

    def ended(self) -> list[tuple[str, Any]]:
        return [(connection, told.body["result"]) for connection, told in self.commits.ended()]

    def overdue(self) -> list[tuple[str, Any]]:
        return [(connection, told.body["result"]) for connection, told in self.commits.overdue()]


def test_what_ends_together_wakes_the_loop_once() -> None:
    loop = Loop()
    for commit in [loop.begin("a"), loop.begin("b")]:
        commit.set_result(None)
    assert loop.woken == 1
    assert loop.ended() == [("a", None), ("b", None)]
    assert "a" not in loop.commits


def test_what_ends_later_wakes_it_again() -> None:
    loop = Loop()
    first, second = loop.begin("a"), loop.begin("b")
    first.set_result(1)
    assert loop.ended() == [("a", 1)]
    second.set_result(2)
    assert (loop.woken, loop.ended()) == (2, [("b", 2)])


def test_an_error_is_told_as_a_result() -> None:
    loop, error = Loop(), StoreUnavailable("NetworkTimeout")
    loop.begin("a").set_exception(error)
    assert loop.ended() == [("a", error)]


def test_what_is_not_written_in_time_is_withdrawn() -> None:
    loop = Loop()
    commit = loop.begin("a", within=NO_TIME)
    ((connection, error),) = loop.overdue()
    assert connection == "a"
    assert type(error) is StoreUnavailable
    assert commit.cancelled()
    assert loop.ended() == []


def test_of_what_is_being_written_nobody_knows_in_time() -> None:
    loop = Loop()
    commit = loop.begin("a", within=NO_TIME)
    commit.set_running_or_notify_cancel()
    ((_, error),) = loop.overdue()
    assert type(error) is StoreOutcomeUnknown
    commit.set_result(None)
    assert loop.ended() == []
    assert loop.woken == 0, "the loop may be no more"


def test_a_late_end_does_not_answer_the_next_request() -> None:
    loop = Loop()
    late = loop.begin("a", within=NO_TIME)
    late.set_running_or_notify_cancel()
    loop.overdue()
    loop.begin("a")
    late.set_result("late")
    assert loop.ended() == []
    assert "a" in loop.commits


def test_what_ended_just_now_is_told_though_its_time_is_over() -> None:
    loop = Loop()
    loop.begin("a", within=NO_TIME).set_result("in time")
    assert loop.overdue() == [("a", "in time")]
    assert loop.ended() == []


def test_the_loop_may_wait_until_the_first_is_overdue() -> None:
    loop = Loop()
    assert loop.commits.seconds_left() == float("inf")
    loop.begin("a", within=NO_TIME)
    loop.begin("b")
    assert loop.commits.seconds_left() <= 0
    assert [connection for connection, _ in loop.overdue()] == ["a"]
    assert 0 < loop.commits.seconds_left() <= LONG.total_seconds()
