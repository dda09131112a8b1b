"""How many calls may be out to a provider at once, found by its latency and its 429s.

Pure: the time comes in, in seconds of a monotonic clock. docs/adr/0008 says why it is as it is.
"""

import math
from dataclasses import dataclass, replace

from delivery.domain.latency import NO_ANSWER, Baseline, Round
from delivery.domain.outcomes import Answer, Outcome

FEWEST_ANSWERS = 3
"""Of a round, before it says anything."""

LARGEST_FALL = 0.5
THROTTLED_FALL = 0.8

FIRST_PATIENCE = 5.0
LONGEST_PATIENCE = 60.0
"""Seconds before a size that was throttled is tried again: the first, doubled each time, and the longest,
whatever the provider says: one recipient's quota of a day must not hold the limit down for a day."""

SHORTEST_REST = 1.0
LONGEST_REST = 10.0
"""Seconds. No longer, whatever the provider says: a 429 may be about one recipient only."""

FIRST_LOOK = 60.0
LONGEST_LOOK = 600.0
"""Seconds that latency may hold the limit down before it is looked again whether load is the reason."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is out. in_use: the slots in use at its begin, its own included."""

    begun_at: float
    in_use: int


@dataclass(frozen=True, slots=True)
class _Throttled:
    """The size that was too much, and is not tried again before ``until``; patience: seconds."""

    size: int
    patience: float
    until: float


class ConcurrencyLimit:
    """A limit on calls at once, between a floor and a ceiling; counted in slots, which calls hold for a
    moment longer than they are out.

    rests_until: nothing may begin before; the provider throttles even as few calls as the floor.

    It begins at the floor and doubles every round trip until the first sign that it is too much; then it
    grows by steps. It only grows while it is really used. A latency beyond the tolerable lowers it in
    proportion, a 429 by a fifth (by half if nothing was accepted since the last one). Calls begun before
    it was last lowered lower it no more. A 429 to an urgent call beside the limit lowers ``unrefused`` so
    instead.
    """

    def __init__(self, *, floor: int, ceiling: int, beside: int = 0) -> None:
        """beside: how many urgent calls may be out beside those that the limit allows, at most.

        Raises ValueError unless 1 <= floor <= ceiling.
        """
        if not 1 <= floor <= ceiling:
            raise ValueError("the floor must be at least 1, and the ceiling at least the floor")
        self.floor = floor
        self.ceiling = ceiling
        self.limit = floor
        self.in_flight = 0
        self.rests_until = -math.inf
        self._beside = beside
        self._baseline = Baseline()
        self._round = Round(-math.inf)
        self._is_first_round = True
        self._is_doubling = True
        self._lowered_at = -math.inf
        self._accepts = False
        self._throttled: _Throttled | None = None
        self._slow_since: float | None = None
        self._look_after = FIRST_LOOK

    @property
    def unrefused(self) -> int:
        """The most calls at once that nothing but latency speaks against: the limit at first, and below what
        was answered 429."""
        if self._is_first_round:
            return self.limit
        return self.ceiling if self._throttled is None else max(self.limit, self._throttled.size - 1)

    def restart(self, now: float) -> None:
        """Back to the floor, and up again from there: the provider was away."""
        self._throttled = None
        self._is_first_round = True
        self._lower(self.floor, now)

    def begin(self, now: float, *, in_use: int, is_full: bool) -> Call:
        """A call goes out. in_use: slots, its own included; is_full: whether none was left for another."""
        self.in_flight += 1
        self._round.most = max(self._round.most, self.in_flight)
        self._round.was_full |= is_full
        return Call(now, in_use)

    def end(self, call: Call, answer: Answer | None, now: float) -> None:
        """A call came to its end; with no answer it was not made, and says nothing.

        ACCEPTED tells a latency, and UNKNOWN after a long time that none was to be had. REJECTED, UNAVAILABLE
        and MISCONFIGURED come quickly whatever the load, as a broken connection does, and tell nothing.
        """
        self.in_flight -= 1
        if answer is None:
            return
        self._accepts |= answer.outcome is Outcome.ACCEPTED
        if call.begun_at < self._lowered_at:
            return
        match answer.outcome:
            case Outcome.THROTTLED:
                told = answer.retry_after.total_seconds() if answer.retry_after else 0.0
                self._throttle(call, told, now)
            case Outcome.ACCEPTED:
                self._add(call, now - call.begun_at, now)
            case Outcome.UNKNOWN if self._baseline.is_slow(now - call.begun_at):
                self._add(call, NO_ANSWER, now)

    def _add(self, call: Call, latency: float, now: float) -> None:
        if call.begun_at < self._round.since:
            return
        self._round.latencies.append(latency)
        if len(self._round.latencies) >= max(FEWEST_ANSWERS, self.limit // 2):
            self._end_round(now)

    def _end_round(self, now: float) -> None:
        ended, self._round, self._is_first_round = self._round, Round(now), False
        if ended.most <= self._fewest():
            self._baseline.learn(ended.latency)
        gradient = self._baseline.gradient(ended.latency)
        if gradient < 1:
            slow_since = now if self._slow_since is None else self._slow_since
            self._lower(int(self.limit * max(LARGEST_FALL, gradient)), now)
            self._slow_since = slow_since if self.limit > self.floor else None
        elif ended.was_full:
            self._raise(now)
        self._look_again(now)

    def _fewest(self) -> int:
        """So many calls are no load of ours: no fewer can be had. Urgent ones are not held back at the floor,
        and a backlog of other emails must not wait there for as long as they come."""
        return self.floor + (self._beside if self.limit == self.floor else 0)

    def _raise(self, now: float) -> None:
        step = self.limit if self._is_doubling else math.isqrt(self.limit)
        self.limit = min(self.limit + step, self.ceiling, self._most_untried(now))
        if self.limit == self.ceiling:
            self._slow_since = None
            self._look_after = FIRST_LOOK

    def _most_untried(self, now: float) -> int:
        """How far the limit may go for what was throttled before: right under that, then to it, then on."""
        throttled = self._throttled
        if throttled is None:
            return self.ceiling
        self._is_doubling &= self.limit * 2 < throttled.size
        if self.limit >= throttled.size:  # it takes as many again
            self._throttled = replace(throttled, size=self.ceiling + 1)
            return self.ceiling
        return max(self.limit, throttled.size - (1 if now < throttled.until else 0))

    def _throttle(self, call: Call, told: float, now: float) -> None:
        before = self._throttled
        is_again = before is not None and now < before.until + before.patience
        patience = min(before.patience * 2, LONGEST_PATIENCE) if before and is_again else FIRST_PATIENCE
        if self.limit == self.floor and call.in_use <= self.floor:
            rest = 0.0 if self._accepts else max(told, patience / FIRST_PATIENCE)
            self.rests_until = now + min(max(rest, SHORTEST_REST), LONGEST_REST)
        until = now + max(patience, min(told, LONGEST_PATIENCE))
        fall = THROTTLED_FALL if self._accepts else LARGEST_FALL
        self._accepts = False
        if call.in_use > self.limit:  # an urgent one, beside what the limit allows: that need not be too much
            size = max(int(call.in_use * fall), self.limit) + 1
            size = min(size, before.size) if before else size
            self._lowered_at = now
        else:
            # A 429 while few slots are in use says little about how many would be too many.
            size = max(call.in_use, self.limit // 2)
            self._lower(int(size * fall), now)
        self._throttled = _Throttled(size=max(size, self.floor + 1), patience=patience, until=until)

    def _lower(self, size: int, now: float) -> None:
        self.limit = max(size, self.floor)
        self._is_doubling = self.limit == self.floor
        self._lowered_at = now
        self._slow_since = None
        self._round = Round(now)

    def _look_again(self, now: float) -> None:
        """Latency has held the limit down for long: see at the floor whether load is the reason."""
        if self._slow_since is not None and now - self._slow_since >= self._look_after:
            self._look_after = min(self._look_after * 2, LONGEST_LOOK)
            self._lower(self.floor, now)
