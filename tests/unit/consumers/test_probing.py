import asyncio
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import pytest

from consumers.lane_heads import Head
from consumers.probing import Probing, Tried
from consumers.shared_breaker import SharedBreaker
from delivery.domain.lanes import Lane
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.tenant_lanes import TenantLane
from tests.unit.consumers.fakes import Incoming, incoming

WORKS = [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.THROTTLED]
FAILS = [Outcome.UNAVAILABLE, Outcome.UNKNOWN, Outcome.MISCONFIGURED]


@dataclass
class Shared:
    """The shared breaker, and what was written to it. holds: how often its probe can be held."""

    is_time: bool = True
    holds: int = 100
    written: list[str] = field(default_factory=list)

    def may_probe(self) -> bool:
        return self.is_time

    async def hold_probe(self) -> bool:
        self.holds -= 1
        return self.holds >= 0

    async def leave_probe(self) -> bool:
        self.written.append("left")
        return True

    async def open(self, reason: str, answer: Answer) -> bool:
        self.written.append(f"{reason}: {answer.detail}")
        return True

    async def close(self) -> bool:
        self.written.append("closed")
        return True


class Lanes:
    """Lanes with these emails, most urgent first; each is called, unless it is among the stale ones."""

    def __init__(
        self, *email_ids: str, outcome: Outcome = Outcome.ACCEPTED, stale: Container[str] = ()
    ) -> None:
        self.waiting = list(email_ids)
        self.outcome = outcome
        self.stale = stale
        self.asked: list[str] = []
        self.answers: list[Answer | None] = []
        self.has_room = True
        self.is_connected = True
        self.probing: Probing | None = None
        self.looked = asyncio.Event()

    async def next_head(self, *, avoid: Container[str]) -> Head | None:
        self.looked.set()
        email_id = next((each for each in self.waiting if each not in avoid), None) or next(
            iter(self.waiting), None
        )
        return (
            Head(TenantLane(Lane.CRITICAL), incoming(Incoming()), email_id) if email_id is not None else None
        )

    async def try_head(self, head: Head) -> Tried:
        assert head.email_id is not None
        assert self.probing is not None
        if not self.has_room:
            return Tried.NO_ROOM
        self.asked.append(head.email_id)
        if head.email_id in self.stale:
            self.waiting.remove(head.email_id)
            return Tried.NOT_CALLED
        self.answers.append(await self.probing.call(head.email_id, self._submit))
        return Tried.CALLED

    async def _submit(self) -> Answer | None:
        return Answer(self.outcome, f"said {self.outcome.value}")


def _probe(shared: Shared, lanes: Lanes, *, times: int = 1) -> Probing:
    async def probe() -> Probing:
        probing = Probing(cast(SharedBreaker, shared))
        lanes.probing = probing
        async with asyncio.timeout(60):
            for _ in range(times):
                await probing.probe(lanes)
        return probing

    return asyncio.run(probe())


@pytest.mark.parametrize("outcome", WORKS)
def test_a_probe_that_shows_that_the_provider_works_closes_the_breaker(outcome: Outcome) -> None:
    shared = Shared()
    _probe(shared, Lanes("a", "b", outcome=outcome))
    assert shared.written == ["closed"]


@pytest.mark.parametrize("outcome", FAILS)
def test_a_probe_that_fails_keeps_it_open(outcome: Outcome) -> None:
    shared = Shared()
    _probe(shared, Lanes("a", outcome=outcome))
    assert shared.written == [f"the probe failed: said {outcome.value}"]


def test_one_email_is_called_and_its_answer_is_marked_as_a_probes() -> None:
    lanes = Lanes("a", "b", outcome=Outcome.UNAVAILABLE)
    _probe(Shared(), lanes)
    assert lanes.asked == ["a"]
    assert lanes.answers == [Answer(Outcome.UNAVAILABLE, "said unavailable", is_probe=True)]


def test_what_failed_as_a_probe_comes_after_all_others() -> None:
    lanes = Lanes("a", "b", outcome=Outcome.UNAVAILABLE)
    _probe(Shared(), lanes, times=3)
    assert lanes.asked == ["a", "b", "a"]


def test_a_message_that_leads_to_no_call_is_followed_by_the_next_one_at_once() -> None:
    lanes = Lanes("stale", "a", stale=["stale"])
    shared = Shared()
    _probe(shared, lanes)
    assert lanes.asked == ["stale", "a"]
    assert shared.written == ["closed"]


def test_nothing_is_tried_before_its_time_or_while_another_process_has_the_probe() -> None:
    for shared in (Shared(is_time=False), Shared(holds=0)):
        lanes = Lanes("a")
        _probe(shared, lanes)
        assert lanes.asked == []
        assert shared.written == []


def test_it_looks_again_while_nothing_waits_until_another_process_has_the_probe() -> None:
    shared, lanes = Shared(holds=2), Lanes()
    _probe(shared, lanes)
    assert (shared.holds, shared.written) == (-1, [])


@pytest.mark.parametrize("has_room", [True, False])
def test_a_stop_leaves_the_probe_to_others(has_room: bool) -> None:
    async def stop() -> list[str]:
        shared, lanes = Shared(), Lanes() if has_room else Lanes("a")
        lanes.has_room = has_room
        lanes.probing = probing = Probing(cast(SharedBreaker, shared))
        under_way = asyncio.create_task(probing.probe(lanes))
        async with asyncio.timeout(60):
            await lanes.looked.wait()
            await probing.stop(timedelta(seconds=60))
            await under_way
            await probing.probe(lanes)  # nor is there another one
        return shared.written

    assert asyncio.run(stop()) == ["left"]


def test_a_process_without_a_broker_takes_no_probe() -> None:
    shared, lanes = Shared(), Lanes("a")
    lanes.is_connected = False
    _probe(shared, lanes)
    assert (shared.holds, lanes.asked, shared.written) == (100, [], [])


def test_a_process_that_loses_the_broker_leaves_the_probe_to_others() -> None:
    class Losing(Lanes):
        async def next_head(self, *, avoid: Container[str]) -> Head | None:
            self.is_connected = False
            return None

    shared = Shared()
    _probe(shared, Losing())
    assert shared.written == ["left"]


def test_an_email_that_is_not_the_probe_is_not_called() -> None:
    async def call() -> Answer | None:
        return await Probing(cast(SharedBreaker, Shared())).call("a", Lanes()._submit)

    assert asyncio.run(call()) is None


def test_a_call_that_raises_ends_the_probe_without_an_answer() -> None:
    class Raising(Lanes):
        async def _submit(self) -> Answer | None:
            raise RuntimeError("a fault of ours")

        async def try_head(self, head: Head) -> Tried:
            with pytest.raises(RuntimeError):
                await super().try_head(head)
            self.waiting.clear()
            return Tried.CALLED

    shared = Shared(holds=1)
    _probe(shared, Raising("a"))
    assert shared.written == []
