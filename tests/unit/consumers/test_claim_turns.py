import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from consumers.claim_turns import AllTurns, Claim, ClaimTurns
from consumers.lane_buffers import MAX_CLAIM
from consumers.precedence import SMALL_CLAIM, Precedence
from delivery.domain.lanes import Lane


def _run(what: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(60):
            await what

    asyncio.run(in_time())


@asynccontextmanager
async def _claiming(turns: AllTurns, claim: Claim) -> AsyncIterator[None]:
    taking = asyncio.create_task(turns.take(claim))
    yield
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)


def test_a_claim_of_the_other_lanes_that_takes_its_time_holds_up_no_critical_one() -> None:
    async def consume() -> None:
        turns, claimed, hangs = AllTurns(Precedence()), asyncio.Queue[str](), asyncio.Event()

        async def claim(one: ClaimTurns, _most: int) -> bool:
            async with one.claiming:
                claimed.put_nowait(one.lanes[0].value)
                if Lane.CRITICAL not in one.lanes:
                    await hangs.wait()
            return False

        async with _claiming(turns, claim):
            turns.arrived(Lane.BULK)
            seen = [await claimed.get()]
            turns.wake()
            seen.append(await claimed.get())
            hangs.set()
            seen.append(await claimed.get())
            await turns.over()
        assert seen == ["transactional", "critical", "transactional"]

    _run(consume())


def test_critical_mail_that_has_no_slot_or_may_not_begin_holds_up_nobody() -> None:
    async def consume() -> None:
        precedence, was_asked = Precedence(), asyncio.Event()

        async def claim(one: ClaimTurns, _most: int) -> bool:
            assert Lane.CRITICAL in one.lanes
            was_asked.set()
            return False

        turns = AllTurns(precedence)
        async with _claiming(turns, claim):
            turns.arrived(Lane.CRITICAL)
            await was_asked.wait()
            async with asyncio.timeout(0):  # ends what gives up control even once
                await precedence.give_way()

    _run(consume())


class Resting(Precedence):
    """Counts the rests of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.rests = 0

    async def rest(self, took: float) -> None:
        self.rests += 1
        await super().rest(took)


def test_others_claim_and_rest_in_turn_although_critical_mail_comes_without_end() -> None:
    async def consume() -> None:
        precedence, claims, are_enough = Resting(), list[int](), asyncio.Event()

        async def claim(one: ClaimTurns, most: int) -> bool:
            if Lane.CRITICAL in one.lanes:
                assert most == MAX_CLAIM
                turns.arrived(Lane.CRITICAL)
                await asyncio.sleep(0)
                return True
            assert precedence.rests == len(claims)
            claims.append(most)
            if len(claims) == 3:
                are_enough.set()
            return True

        turns = AllTurns(precedence)
        async with _claiming(turns, claim):
            turns.arrived(Lane.CRITICAL)
            turns.arrived(Lane.BULK)
            await are_enough.wait()
        assert claims[:3] == [SMALL_CLAIM] * 3

    _run(consume())
