"""Who asks for the same host's addresses at about the same time shares one lookup."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar, cast

import pytest
from aiohappyeyeballs import AddrInfoType

from delivery.http.lookups import KEPT_FOR, Lookups

T = TypeVar("T")


class Resolver:
    """An event loop whose lookups end when they are told to, and whose clock stands still."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lookups: list[asyncio.Future[Sequence[AddrInfoType]]] = []
        self.asked = asyncio.Semaphore(0)

    def time(self) -> float:
        return self.now

    def create_task(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        return asyncio.create_task(work)

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> Sequence[AddrInfoType]:
        lookup: asyncio.Future[Sequence[AddrInfoType]] = asyncio.get_running_loop().create_future()
        self.lookups.append(lookup)
        self.asked.release()
        return await lookup

    async def answer(self, address: str) -> None:
        await self.asked.acquire()
        self.lookups[-1].set_result(found(address))

    async def fail(self) -> None:
        await self.asked.acquire()
        self.lookups[-1].set_exception(OSError("no such name"))


def found(address: str) -> Sequence[AddrInfoType]:
    return [(2, 1, 6, "", (address, 80))]


class Asking:
    def __init__(self) -> None:
        self.resolver = Resolver()
        self.lookups = Lookups("provider.example", 80)

    def ask(self) -> "asyncio.Task[Sequence[AddrInfoType]]":
        return asyncio.create_task(self.lookups.addresses(cast(asyncio.AbstractEventLoop, self.resolver)))


def test_all_who_ask_at_once_share_a_lookup_also_when_the_first_of_them_gives_up() -> None:
    async def run() -> tuple[list[Sequence[AddrInfoType]], int]:
        asking = Asking()
        first, *others = [asking.ask() for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        await asking.resolver.answer("192.0.2.1")
        return await asyncio.gather(*others), len(asking.resolver.lookups)

    assert asyncio.run(run()) == ([found("192.0.2.1")] * 4, 1)


def test_what_was_found_is_kept_for_a_while_and_no_longer() -> None:
    async def run() -> list[Sequence[AddrInfoType]]:
        asking = Asking()
        first = asking.ask()
        await asking.resolver.answer("192.0.2.1")
        answers = [await first]
        asking.resolver.now = KEPT_FOR - 0.1
        answers.append(await asking.ask())
        asking.resolver.now = KEPT_FOR
        last = asking.ask()
        await asking.resolver.answer("192.0.2.2")
        return [*answers, await last]

    assert asyncio.run(run()) == [found("192.0.2.1"), found("192.0.2.1"), found("192.0.2.2")]


def test_what_was_of_no_use_is_not_kept() -> None:
    async def run() -> list[Sequence[AddrInfoType]]:
        asking = Asking()
        first = asking.ask()
        await asking.resolver.answer("192.0.2.1")
        answers = [await first]
        asking.lookups.forget()
        last = asking.ask()
        await asking.resolver.answer("192.0.2.2")
        return [*answers, await last]

    assert asyncio.run(run()) == [found("192.0.2.1"), found("192.0.2.2")]


def test_a_lookup_that_failed_is_repeated_for_the_next() -> None:
    async def run() -> Sequence[AddrInfoType]:
        asking = Asking()
        first, second = asking.ask(), asking.ask()
        await asking.resolver.fail()
        for task in (first, second):
            with pytest.raises(OSError, match="no such name"):
                await task
        third = asking.ask()
        await asking.resolver.answer("192.0.2.1")
        return await third

    assert asyncio.run(run()) == found("192.0.2.1")
