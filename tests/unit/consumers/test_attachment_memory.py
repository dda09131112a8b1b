import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import pytest

from consumers.attachment_memory import AttachmentMemory
from delivery.bootstrap import Store
from delivery.domain.emails import Attachment, ClaimedEmail
from delivery.domain.errors import AttachmentsMissing, StoreUnavailable
from tests.unit.delivery.builders import CONTENT, claimed

MOST = 10


class Attachments:
    """The store's: each byte that is asked for, or these errors first."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)

    def load(self, email_id: str, attachments: Iterable[Attachment]) -> tuple[bytes, ...]:
        if self._errors:
            raise self._errors.pop(0)
        return tuple(b"x" * attachment.size for attachment in attachments)


class FakeStore:
    def __init__(self, attachments: Attachments) -> None:
        self.attachments = attachments


def memory(*errors: Exception) -> AttachmentMemory:
    return AttachmentMemory(cast(Store, FakeStore(Attachments(*errors))), most=MOST)


def email(size: int) -> ClaimedEmail:
    return claimed(content=replace(CONTENT, attachments=(Attachment(filename="a", size=size),)))


async def settled(*tasks: "asyncio.Task[tuple[bytes, ...]]") -> list[bool]:
    """Which of these have what they wait for, once nothing moves any more."""
    await asyncio.wait(tasks, timeout=0.2)
    return [task.done() for task in tasks]


def test_an_email_waits_until_there_is_room_for_its_attachments() -> None:
    async def scenario() -> None:
        room = memory()
        assert await room.load(email(6)) == (b"x" * 6,)
        waiting = [asyncio.create_task(room.load(email(6))), asyncio.create_task(room.load(email(4)))]
        assert await settled(*waiting) == [False, True]
        room.release(email(6))
        assert await settled(*waiting) == [True, True]

    asyncio.run(scenario())


def test_one_email_always_has_room_whatever_its_size() -> None:
    async def scenario() -> None:
        room = memory()
        assert await room.load(email(MOST * 2)) == (b"x" * MOST * 2,)
        other = asyncio.create_task(room.load(email(1)))
        assert await settled(other) == [False]
        room.release(email(MOST * 2))
        assert await settled(other) == [True]

    asyncio.run(scenario())


def test_while_the_store_is_away_it_waits() -> None:
    assert asyncio.run(memory(StoreUnavailable("away")).load(email(3))) == (b"xxx",)


def test_what_is_not_there_takes_no_room() -> None:
    async def scenario() -> None:
        room = memory(AttachmentsMissing())
        with pytest.raises(AttachmentsMissing):
            await room.load(email(MOST))
        assert await room.load(email(MOST)) == (b"x" * MOST,)

    asyncio.run(scenario())


def test_who_gives_up_waiting_takes_no_room() -> None:
    async def scenario() -> None:
        room = memory()
        await room.load(email(MOST))
        gone = asyncio.create_task(room.load(email(1)))
        assert await settled(gone) == [False]
        gone.cancel()
        room.release(email(MOST))
        assert await room.load(email(MOST)) == (b"x" * MOST,)

    asyncio.run(scenario())
