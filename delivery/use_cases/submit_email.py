"""Submit one claimed email to the provider."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.emails import ClaimedEmail
from delivery.domain.outcomes import Answer
from delivery.domain.waiting import has_expired


class Provider(Protocol):
    """A mail delivery service. ``submit`` never raises for what the provider did: that is the answer."""

    async def submit(self, email: ClaimedEmail) -> Answer: ...


async def submit_email(
    email: ClaimedEmail,
    *,
    provider: Provider,
    lease_remaining: Callable[[str], timedelta],
    call_needs: timedelta,
    now: datetime,
) -> Answer | None:
    """Call the provider; None when the email has expired, or its claim no longer lasts for a whole call.

    The check of the lease is the last thing before the call, on the monotonic clock: a worker that was
    stopped for longer than its lease and woken must not send what another one may have taken over.
    """
    if has_expired(email, now=now):
        return None
    if lease_remaining(email.token) <= call_needs:
        return None
    return await provider.submit(email)
