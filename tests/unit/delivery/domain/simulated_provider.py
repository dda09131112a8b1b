"""A provider in simulated time, and a worker that keeps as many calls out to it as its limit allows."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from delivery.domain.concurrency import Call, ConcurrencyLimit
from delivery.domain.outcomes import Answer, Outcome

ACCEPTED = Answer(Outcome.ACCEPTED, "")
QUICK = 0.005


@dataclass
class SimulatedProvider:
    """latency: seconds for so many calls being served. At more than ``capacity`` of them it answers 429."""

    latency: Callable[[int], float]
    capacity: int = 1_000_000
    retry_after: float | None = 1.0
    served: int = 0

    def answer(self) -> tuple[Answer, float]:
        if self.served >= self.capacity:
            told = None if self.retry_after is None else timedelta(seconds=self.retry_after)
            return Answer(Outcome.THROTTLED, "", told), QUICK
        self.served += 1
        return ACCEPTED, self.latency(self.served)


@dataclass
class Worker:
    """Its backlog has no end, unless ``at_most`` says how many calls it makes at once; urgent: how many it
    makes beside those that the limit allows."""

    limit: ConcurrencyLimit
    provider: SimulatedProvider
    at_most: int = 1_000_000
    urgent: int = 0
    out: list[tuple[float, int, Call, Answer]] = field(default_factory=list)
    answers: list[tuple[float, Outcome]] = field(default_factory=list)
    limits: list[tuple[float, int]] = field(default_factory=list)
    now: float = 0.0
    _number: "count[int]" = field(default_factory=count)

    def begin(self) -> None:
        limit = self.limit
        while self.now >= limit.rests_until and limit.in_flight < min(
            limit.limit + self.urgent, self.at_most
        ):
            in_use = limit.in_flight + 1
            call = limit.begin(self.now, in_use=in_use, is_full=in_use >= limit.limit)
            answer, seconds = self.provider.answer()
            heapq.heappush(self.out, (self.now + seconds, next(self._number), call, answer))

    def next_at(self) -> float:
        return self.out[0][0] if self.out else self.limit.rests_until

    def step(self) -> None:
        """To the next answer, or to the end of a rest."""
        self.now = max(self.now, self.next_at())
        if self.out and not self.out[0][0] > self.now:
            _, _, call, answer = heapq.heappop(self.out)
            self.provider.served -= answer.outcome is Outcome.ACCEPTED
            self.limit.end(call, answer, self.now)
            self.answers.append((self.now, answer.outcome))
            self.limits.append((self.now, self.limit.limit))
        self.begin()


def run(*workers: Worker, seconds: float) -> None:
    """Let the workers, which share the time, go on for so many seconds."""
    end = max(worker.now for worker in workers) + seconds
    for worker in workers:
        worker.begin()
    while (worker := min(workers, key=Worker.next_at)).next_at() < end:
        worker.step()
    for worker in workers:
        worker.now = end
