import asyncio
import threading
from collections.abc import Container
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from consumers.breaker import BreakerWatch
from consumers.lane_heads import Head
from consumers.probing import Tried
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.domain.breaker import Breaker, closed, opened
from delivery.domain.errors import StoreUnavailable
from delivery.domain.outcomes import Answer, Outcome
from tests.unit.delivery.builders import BREAKER, seconds

PROVIDER = "mail-delivery-service"
DOWN = Answer(Outcome.UNAVAILABLE, "HTTP 503")


class Breakers:
    """The document that all processes share."""

    def __init__(self, breaker: Breaker | None = None) -> None:
        self.breaker = breaker or Breaker()
        self.is_away = False
        self.was_changed = threading.Event()

    def get(self, provider: str) -> Breaker:
        if self.is_away:
            raise StoreUnavailable("away")
        return self.breaker

    def change(self, provider: str, *, seen: Breaker, to: Breaker) -> bool:
        if self.is_away:
            raise StoreUnavailable("away")
        if seen.version != self.breaker.version:
            return False
        self.breaker = to
        self.was_changed.set()
        return True


class Lanes:
    def __init__(self) -> None:
        self.is_connected = True
        self.did: list[str] = []
        self.changed = asyncio.Event()

    async def pause(self) -> None:
        self._do("pause")

    async def resume(self) -> None:
        self._do("resume")

    async def next_head(self, *, avoid: Container[str]) -> Head | None:
        return None

    async def try_head(self, head: Head) -> Tried:
        return Tried.NO_ROOM

    def _do(self, what: str) -> None:
        self.did.append(what)
        self.changed.set()

    async def wait(self) -> None:
        await self.changed.wait()
        self.changed.clear()


def _watch(breakers: Breakers) -> BreakerWatch:
    config = SimpleNamespace(
        breaker=BREAKER,
        provider=SimpleNamespace(name=PROVIDER, total_timeout=seconds(15)),
        claims=SimpleNamespace(margin=seconds(2)),
    )
    return BreakerWatch(
        cast(ConsumerParts, SimpleNamespace(config=config, store=SimpleNamespace(breakers=breakers)))
    )


def _far_open() -> Breaker:
    """Open for long: nothing is probed in a test."""
    policy = replace(BREAKER, first_pause=seconds(25))
    return opened(Breaker(), reason="HTTP 503", is_misconfigured=False, policy=policy, now=utc_now())


async def _call(watch: BreakerWatch, answer: Answer = DOWN) -> Answer | None:
    async def submit() -> Answer:
        return answer

    return await watch.call("an email", submit)


def test_a_run_of_failures_stops_this_process_at_once_and_is_written_for_all() -> None:
    async def fail() -> tuple[Breaker, list[Answer | None], list[str]]:
        breakers, lanes = Breakers(), Lanes()
        watch = _watch(breakers)
        await watch.load(lanes)
        answers = [await _call(watch) for _ in range(21)]
        watching = asyncio.create_task(watch.run(lanes))
        async with asyncio.timeout(60):
            await lanes.wait()
            await asyncio.to_thread(breakers.was_changed.wait, 60)
        watching.cancel()
        return breakers.breaker, answers, lanes.did

    breaker, answers, did = asyncio.run(fail())
    assert answers == [DOWN] * 20 + [None]
    assert did[0] == "pause"
    assert breaker.reason == "20 calls in a row failed, the last: HTTP 503"
    assert not breaker.is_misconfigured


def test_a_refused_credential_is_told_as_such() -> None:
    async def refuse() -> Breaker:
        breakers, lanes = Breakers(), Lanes()
        watch = _watch(breakers)
        await _call(watch, Answer(Outcome.MISCONFIGURED, "HTTP 401"))
        watching = asyncio.create_task(watch.run(lanes))
        async with asyncio.timeout(60):
            await asyncio.to_thread(breakers.was_changed.wait, 60)
        watching.cancel()
        return breakers.breaker

    breaker = asyncio.run(refuse())
    assert breaker.is_misconfigured
    assert breaker.reason == "our credential or address is refused, the last: HTTP 401"


def test_what_another_process_wrote_stops_and_starts_the_lanes() -> None:
    async def follow() -> tuple[list[str], list[Answer | None]]:
        breakers, lanes = Breakers(), Lanes()
        watch = _watch(breakers)
        watching = asyncio.create_task(watch.run(lanes))
        answers = [await _call(watch)]
        async with asyncio.timeout(60):
            breakers.breaker = _far_open()
            await lanes.wait()
            answers.append(await _call(watch))
            breakers.breaker = closed(breakers.breaker, now=utc_now())
            await lanes.wait()
            answers.append(await _call(watch))
        watching.cancel()
        return lanes.did, answers

    assert asyncio.run(follow()) == (["pause", "resume"], [DOWN, None, DOWN])


def test_a_process_that_starts_heeds_a_breaker_that_is_open() -> None:
    async def start() -> list[str]:
        lanes = Lanes()
        await _watch(Breakers(_far_open())).load(lanes)
        return lanes.did

    assert asyncio.run(start()) == ["pause"]


def test_while_the_store_is_away_a_process_stops_itself_all_the_same() -> None:
    async def fail() -> tuple[list[str], Answer | None]:
        breakers, lanes = Breakers(), Lanes()
        watch = _watch(breakers)
        await watch.load(lanes)
        breakers.is_away = True
        watching = asyncio.create_task(watch.run(lanes))
        for _ in range(20):
            await _call(watch)
        async with asyncio.timeout(60):
            await lanes.wait()
        answer = await _call(watch)
        watching.cancel()
        return lanes.did, answer

    assert asyncio.run(fail()) == (["pause"], None)


def test_calls_that_end_while_it_is_open_are_not_counted() -> None:
    async def end_late() -> bool:
        breakers, lanes = Breakers(), Lanes()
        watch = _watch(breakers)
        going_on = asyncio.Event()

        async def submit() -> Answer:
            await going_on.wait()
            return DOWN

        calls = [asyncio.create_task(watch.call(str(number), submit)) for number in range(100)]
        watching = asyncio.create_task(watch.run(lanes))
        async with asyncio.timeout(60):
            breakers.breaker = _far_open()
            await lanes.wait()
            breakers.breaker = closed(breakers.breaker, now=utc_now())
            await lanes.wait()
            going_on.set()  # they were out when it opened, and end after it closed
            await asyncio.gather(*calls)
        watching.cancel()
        return watch.is_closed

    assert asyncio.run(end_late())
