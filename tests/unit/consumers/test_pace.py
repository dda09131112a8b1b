import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from types import SimpleNamespace
from typing import cast

import pytest

from consumers.pace import CallsAtOnce, Pace
from delivery.config_values import ProviderConfig
from delivery.domain.emails import ClaimedEmail
from delivery.domain.lanes import Lane
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.slots import Slots

ACCEPTED = Answer(Outcome.ACCEPTED, "")
THROTTLED = Answer(Outcome.THROTTLED, "", timedelta(seconds=1))
EMAIL = cast(ClaimedEmail, None)


@dataclass
class FakeProvider:
    """Answers when told to, and always the same."""

    answer: Answer = ACCEPTED
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    begun: "asyncio.Queue[None]" = field(default_factory=asyncio.Queue)
    error: Exception | None = None

    async def submit(self, email: ClaimedEmail) -> Answer:
        self.begun.put_nowait(None)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return self.answer


@dataclass
class Worker:
    """Takes slots and calls, as a consumer does."""

    provider: FakeProvider
    floor: int = 4
    ceiling: int = 16
    may_begin: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.slots = Slots(total=self.ceiling, reserved=2, weights=dict.fromkeys(Lane, 1))
        config = SimpleNamespace(min_in_flight=self.floor, max_in_flight=self.ceiling)
        self.pace = Pace(
            self.provider,
            config=cast(ProviderConfig, config),
            slots=self.slots,
            may_begin=self.may_begin.set,
        )

    async def begin(self) -> asyncio.Task[Answer]:
        call = asyncio.create_task(self.pace.submit(EMAIL))
        await self.provider.begun.get()
        return call

    async def fill_once(self) -> None:
        """As many calls as there are slots, all begun before the first is answered."""
        taken = list(iter(lambda: self.slots.take([Lane.CRITICAL]), None))
        calls = [await self.begin() for _ in taken]
        self.provider.may_answer.set()
        await asyncio.gather(*calls, return_exceptions=True)
        self.provider.may_answer.clear()
        for lane in taken:
            self.slots.release(lane)


def test_the_slots_follow_what_the_provider_takes_and_more_are_told_of() -> None:
    async def work(worker: Worker) -> None:
        assert (worker.slots.total, worker.pace.calls.limit) == (4, 4)
        for _ in range(10):
            await worker.fill_once()
        assert worker.may_begin.is_set()
        assert (worker.slots.total, worker.pace.calls.limit) == (16, 16)

    _run(work, ACCEPTED)


def test_calls_that_are_out_are_counted() -> None:
    async def work(worker: Worker) -> None:
        call = await worker.begin()
        assert worker.pace.calls == CallsAtOnce(in_flight=1, limit=4, ceiling=16)
        worker.provider.may_answer.set()
        assert await call is ACCEPTED
        assert worker.pace.calls.in_flight == 0

    _run(work, ACCEPTED)


def test_a_process_that_is_throttled_at_the_floor_rests_and_goes_on_by_itself() -> None:
    async def work(worker: Worker) -> None:
        await worker.fill_once()
        assert worker.pace.is_resting
        await worker.may_begin.wait()
        assert not worker.pace.is_resting

    _run(work, THROTTLED)


def test_after_a_restart_it_begins_at_the_floor() -> None:
    async def work(worker: Worker) -> None:
        for _ in range(10):
            await worker.fill_once()
        worker.pace.restart()
        assert worker.slots.total == 4

    _run(work, ACCEPTED)


@pytest.mark.parametrize(
    ("answer", "size", "for_critical"), [(ACCEPTED, 8, 2), (THROTTLED, 4, 1)], ids=["accepted", "429"]
)
def test_criticals_part_is_whole_from_the_first_round_on_unless_it_is_throttled(
    answer: Answer, size: int, for_critical: int
) -> None:
    async def work(worker: Worker) -> None:
        assert _parts(worker.slots) == (3, 1)
        await worker.fill_once()
        assert _parts(worker.slots) == (size - 1, for_critical)
        worker.pace.restart()
        assert _parts(worker.slots) == (3, 1)

    _run(work, answer)


def test_a_call_that_breaks_or_is_abandoned_is_out_no_more() -> None:
    async def work(worker: Worker) -> None:
        worker.provider.error = RuntimeError("broken")
        worker.provider.may_answer.set()
        with pytest.raises(RuntimeError, match="broken"):
            await (await worker.begin())
        worker.provider.may_answer.clear()
        call = await worker.begin()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert worker.pace.calls.in_flight == 0

    _run(work, ACCEPTED)


def _run(work: Callable[[Worker], Awaitable[None]], answer: Answer) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            await work(Worker(FakeProvider(answer)))

    asyncio.run(run())


def _parts(slots: Slots) -> tuple[int, int]:
    """How many slots the others can hold, and how many critical besides."""
    taken = [_taken(slots, lane) for lane in (Lane.BULK, Lane.CRITICAL)]
    for lane in chain(*taken):
        slots.release(lane)
    return len(taken[0]), len(taken[1])


def _taken(slots: Slots, lane: Lane) -> list[Lane]:
    return list(iter(lambda: slots.take([lane]), None))
