"""Submit one claimed email to the provider."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.emails import ClaimedEmail
from delivery.domain.errors import AttachmentsMissing
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.waiting import has_expired


class Provider(Protocol):
    """A mail delivery service. ``submit`` never raises for what the provider did: that is the answer."""

    async def submit(self, email: ClaimedEmail) -> Answer: ...


class Attachments(Protocol):
    """Has the bytes of an email's attachments in memory from load() to release()."""

    async def load(self, email: ClaimedEmail) -> tuple[bytes, ...]:
        """May take a while: as long as the store, or the memory, takes. Raises AttachmentsMissing."""
        ...

    def release(self, email: ClaimedEmail) -> None: ...


async def submit_email(
    email: ClaimedEmail,
    *,
    provider: Provider,
    attachments: Attachments,
    lease_remaining: Callable[[str], timedelta],
    call_needs: timedelta,
    clock: Callable[[], datetime],
) -> Answer | None:
    """Call the provider; None when the email has expired, or its claim no longer lasts for a whole call.

    The check of the lease is the last thing before the call, on the monotonic clock: a worker that was
    stopped for longer than its lease and woken must not send what another one may have taken over.
    """

    async def call(whole: ClaimedEmail) -> Answer | None:
        if has_expired(email, now=clock()):
            return None
        if lease_remaining(email.token) <= call_needs:
            return None
        return await provider.submit(whole)

    if not email.content.attachments:
        return await call(email)
    try:
        attached = await attachments.load(email)
    except AttachmentsMissing:
        return Answer(Outcome.REJECTED, "its attachments are not in the store")
    except asyncio.CancelledError:  # a shutdown: it was not called
        return None
    try:
        return await call(replace(email, attached=attached))
    finally:
        attachments.release(email)
