"""The status endpoint's budget: how many questions a minute it bears before it bans whoever asks."""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

WINDOW = 60.0


class StatusCall(NamedTuple):
    """One call of the status endpoint. `at` in epoch seconds, `answer` the HTTP status."""

    request_id: str
    at: float
    answer: int


class StatusBudget:
    """At most so many calls in any sliding minute; the call over it starts a ban."""

    def __init__(self) -> None:
        self._served: deque[float] = deque()
        self._banned_until = float("-inf")

    def spend(self, *, now: float, budget: int | None, ban: float) -> int:
        """200 if the call may be served, 429 if it is the one too many, 403 during the ban.

        `budget` None: no limit. `ban` in seconds, `now` in epoch seconds.
        """
        if budget is None:
            return 200
        if now < self._banned_until:
            return 403
        while self._served and self._served[0] <= now - WINDOW:
            self._served.popleft()
        if len(self._served) >= budget:
            self._banned_until = now + ban
            return 429
        self._served.append(now)
        return 200

    def pardon(self) -> None:
        """Ends a ban and forgets the calls so far."""
        self._served.clear()
        self._banned_until = float("-inf")


class StatusLog:
    """Every call of the status endpoint, in order."""

    def __init__(self) -> None:
        self._calls: list[StatusCall] = []

    def add(self, call: StatusCall) -> None:
        self._calls.append(call)

    def page(self, *, since: int, limit: int) -> dict[str, object]:
        calls = [call._asdict() for call in islice(self._calls, since, since + limit)]
        return {"calls": calls, "next": since + len(calls), "total": len(self._calls)}

    def summary(self) -> dict[str, int]:
        return {
            "calls": len(self._calls),
            "bans": sum(call.answer == 429 for call in self._calls),
            "most_in_a_minute": most_in_a_window([call.at for call in self._calls]),
        }


def most_in_a_window(times: Sequence[float]) -> int:
    """The largest number of ascending `times` that lie within any 60 s."""
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - WINDOW:
            first += 1
        most = max(most, last - first + 1)
    return most
