"""The attachments of emails that are being submitted: from the store, within a bound on their bytes."""

import asyncio

from consumers.settlement import until_store_answers
from delivery.bootstrap import Store
from delivery.domain.emails import ClaimedEmail

MOST = 64 * 1024 * 1024
"""Bytes in memory at once in one process: with a slot each, large emails could take all there is."""


class AttachmentMemory:
    """Belongs to the event loop. An email waits here, uncalled, until there is room for its attachments."""

    def __init__(self, store: Store, *, most: int = MOST) -> None:
        self._store = store
        self._most = most
        self._used = 0
        self._changed = asyncio.Condition()
        self._waking: set[asyncio.Task[None]] = set()

    async def load(self, email: ClaimedEmail) -> tuple[bytes, ...]:
        """However long the store is away. Raises AttachmentsMissing; then there is nothing to release."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(email))
            self._used += _size(email)
        try:
            return await until_store_answers(
                lambda: self._store.attachments.load(email.email_id, email.content.attachments)
            )
        except BaseException:
            self.release(email)
            raise

    def release(self, email: ClaimedEmail) -> None:
        self._used -= _size(email)
        task = asyncio.create_task(self._wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    def _has_room(self, email: ClaimedEmail) -> bool:
        """One email always has, whatever its size."""
        return self._used == 0 or self._used + _size(email) <= self._most

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _size(email: ClaimedEmail) -> int:
    return sum(attachment.size for attachment in email.content.attachments)
