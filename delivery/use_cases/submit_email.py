"""Submit one claimed email to the provider."""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from delivery.domain.emails import ClaimedEmail
from delivery.domain.outcomes import Answer


class Provider(Protocol):
    """A mail delivery service. ``submit`` never raises for what the provider did: that is the answer."""

    async def submit(self, email: ClaimedEmail) -> Answer: ...


async def submit_email(
    email: ClaimedEmail,
    *,
    provider: Provider,
    lease_remaining: Callable[[str], timedelta],
    call_needs: timedelta,
) -> Answer | None:
    """Call the provider; None when the claim no longer lasts for a whole call and must be given back.

    The check is the last thing before the call, on the monotonic clock: a worker that was stopped for
    longer than its lease and woken must not send what another one may have taken over.
    """
    if lease_remaining(email.token) <= call_needs:
        return None
    return await provider.submit(email)
