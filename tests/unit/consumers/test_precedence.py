import asyncio
from collections.abc import Coroutine
from typing import Any

from consumers.lane_buffers import MAX_CLAIM
from consumers.precedence import LONGEST_REST, PRESENT, SMALL_CLAIM, Precedence


def _run(what: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(60):
            await what

    asyncio.run(in_time())


def test_without_critical_mail_the_others_claim_much_and_wait_for_nothing() -> None:
    async def claim() -> None:
        precedence = Precedence()
        assert precedence.most_claimed == MAX_CLAIM
        async with asyncio.timeout(0):  # ends what gives up control even once
            await precedence.give_way()
            await precedence.rest(1000.0)

    _run(claim())


def test_while_critical_mail_comes_the_others_claim_little_and_rest_though_not_for_long() -> None:
    async def claim() -> None:
        precedence = Precedence()
        precedence.came()
        precedence.claimed()
        assert precedence.most_claimed == SMALL_CLAIM
        resting = asyncio.create_task(precedence.rest(1000.0))
        await asyncio.sleep(0)
        assert not resting.done()
        await resting

    assert LONGEST_REST < 1
    _run(claim())


def test_they_go_on_as_before_when_none_has_come_for_a_while() -> None:
    async def claim() -> None:
        now = 100.0
        precedence = Precedence(clock=lambda: now)
        precedence.came()
        precedence.claimed()
        now += PRESENT * 0.99
        assert precedence.most_claimed == SMALL_CLAIM
        now += PRESENT * 0.02
        assert precedence.most_claimed == MAX_CLAIM
        async with asyncio.timeout(0):  # ends what gives up control even once
            await precedence.rest(1000.0)

    _run(claim())


def test_the_others_give_way_until_critical_is_claimed() -> None:
    async def claim() -> None:
        precedence, order = Precedence(), list[str]()

        async def claim_others() -> None:
            await precedence.give_way()
            order.append("others")

        precedence.came()
        others = asyncio.create_task(claim_others())
        await asyncio.sleep(0)
        order.append("critical")
        precedence.claimed()
        await others
        assert order == ["critical", "others"]

    _run(claim())


def test_critical_mail_without_end_stops_nobody() -> None:
    async def claim() -> None:
        precedence = Precedence()
        precedence.came()
        for _ in range(3):
            precedence.came()
            await precedence.give_way()
            await precedence.rest(1000.0)

    _run(claim())
