import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from consumers.leading import LEASE_TURNS, lead
from delivery.domain.errors import StoreUnavailable

OFTEN = timedelta(milliseconds=5)


class Leases:
    """The leases as one process sees them. ``reached``: set at this many calls of hold."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.ttls: list[timedelta] = []
        self.released: list[str] = []
        self.asked_enough = asyncio.Event()
        self.enough = 1
        self._loop = asyncio.get_running_loop()

    def hold(self, loop: str, *, now: datetime, ttl: timedelta) -> bool:
        assert now.tzinfo is not None
        self.ttls.append(ttl)
        if len(self.ttls) >= self.enough:
            self._loop.call_soon_threadsafe(self.asked_enough.set)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def release(self, loop: str) -> None:
        self.released.append(loop)

    async def asked(self, count: int) -> None:
        self.enough = len(self.ttls) + count
        self.asked_enough.clear()
        await self.asked_enough.wait()


class Turns:
    def __init__(self) -> None:
        self.count = 0
        self.taken = asyncio.Event()

    async def take(self) -> None:
        self.count += 1
        self.taken.set()


async def _leading(
    leases: Leases,
    turn: Callable[[], Awaitable[None]],
    until: Awaitable[object],
    is_able: Callable[[], bool] = lambda: True,
) -> None:
    """Lead until this has happened, then drain."""
    task = asyncio.create_task(lead("relay", leases=leases, interval=OFTEN, turn=turn, is_able=is_able))
    async with asyncio.timeout(60):
        await until
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_who_holds_the_lease_takes_turns_and_gives_it_up_when_it_drains() -> None:
    async def run() -> None:
        leases, turns = Leases(True), Turns()
        await _leading(leases, turns.take, leases.asked(3))
        assert turns.count >= 2
        assert set(leases.ttls) == {OFTEN * LEASE_TURNS}
        assert leases.released == ["relay"]

    asyncio.run(run())


def test_who_does_not_hold_it_takes_no_turn_and_gives_nothing_up() -> None:
    async def run() -> None:
        leases, turns = Leases(False), Turns()
        await _leading(leases, turns.take, leases.asked(3))
        assert turns.count == 0
        assert leases.released == []

    asyncio.run(run())


def test_who_can_not_do_the_work_leaves_the_lease_to_others() -> None:
    async def run() -> None:
        leases, turns, asked = Leases(True), Turns(), asyncio.Event()

        def is_able() -> bool:
            asked.set()
            return False

        await _leading(leases, turns.take, asked.wait(), is_able)
        assert leases.ttls == []
        assert turns.count == 0

    asyncio.run(run())


def test_the_lease_is_kept_while_a_turn_lasts() -> None:
    async def run() -> None:
        leases, turned = Leases(True), asyncio.Event()

        async def long_turn() -> None:
            await leases.asked(3)
            turned.set()

        await _leading(leases, long_turn, turned.wait())

    asyncio.run(run())


@pytest.mark.parametrize("is_in_turn", [False, True])
def test_a_store_that_is_away_ends_no_loop(is_in_turn: bool) -> None:
    async def run() -> None:
        leases = Leases(True) if is_in_turn else Leases(StoreUnavailable("away"), True)
        errors = [StoreUnavailable("away")] if is_in_turn else []
        turns = Turns()

        async def turn() -> None:
            if errors:
                raise errors.pop()
            await turns.take()

        await _leading(leases, turn, turns.taken.wait())
        assert turns.count >= 1

    asyncio.run(run())


def test_its_first_turn_comes_at_its_own_moment_of_the_interval() -> None:
    async def run() -> None:
        leases, turns, seldom = Leases(True), Turns(), timedelta(hours=1)
        loop = asyncio.create_task(
            lead("relay", leases=leases, interval=seldom, turn=turns.take, phase=lambda: 0.0)
        )
        async with asyncio.timeout(60):
            await turns.taken.wait()
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)

    asyncio.run(run())


def test_loops_that_begin_together_take_their_first_turns_apart() -> None:
    """Of so many, one comes long before the interval is over."""

    async def run() -> None:
        leases, turns, seldom = Leases(True), Turns(), timedelta(seconds=20)
        loops = [lead(str(n), leases=leases, interval=seldom, turn=turns.take) for n in range(200)]
        tasks = [asyncio.create_task(loop) for loop in loops]
        async with asyncio.timeout(seldom.total_seconds() / 2):
            await turns.taken.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert turns.count < len(tasks) / 2

    asyncio.run(run())


def test_a_drain_does_not_wait_for_a_store_that_is_away() -> None:
    async def run() -> None:
        leases, turns = Leases(True, StoreUnavailable("away")), Turns()
        await _leading(leases, turns.take, leases.asked(4))
        assert leases.released == []

    asyncio.run(run())
