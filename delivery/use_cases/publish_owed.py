"""Publish what states owe and have struck what the broker confirmed."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from delivery.domain.delays import DelayStep
from delivery.domain.owed import OwedEmail, OwedEvent
from delivery.use_cases.messages import Outgoing, Verdict, email_message, event_message

Owed = OwedEmail | OwedEvent


class MessagePublisher(Protocol):
    async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]: ...


Strike = Callable[[Sequence[OwedEmail]], Awaitable[None]]
"""Strikes confirmed debts, now or later. Until then they are owed, and may be published once more."""


class PublishOwed:
    """Publishes a batch, many in flight. What isn't confirmed stays owed: the relay comes back to it."""

    def __init__(
        self,
        *,
        publisher: MessagePublisher,
        strike: Strike,
        steps: tuple[DelayStep, ...],
        clock: Callable[[], datetime],
    ) -> None:
        self._publisher = publisher
        self._strike = strike
        self._steps = steps
        self._clock = clock

    async def __call__(self, owed: Sequence[Owed]) -> int:
        """Returns how many were confirmed. Raises what ``strike`` raises."""
        now = self._clock()
        verdicts = await self._publisher.publish([self._message(debt, now=now) for debt in owed])
        confirmed = [
            debt for debt, verdict in zip(owed, verdicts, strict=True) if verdict is Verdict.CONFIRMED
        ]
        emails = [debt for debt in confirmed if isinstance(debt, OwedEmail)]
        if emails:
            await self._strike(emails)
        return len(confirmed)

    def _message(self, debt: Owed, *, now: datetime) -> Outgoing:
        if isinstance(debt, OwedEmail):
            return email_message(debt, now=now, steps=self._steps)
        return event_message(debt)
