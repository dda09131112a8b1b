"""Publish what states owe and have struck what the broker confirmed."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import compress
from typing import Protocol

from delivery.domain.delays import DelayStep
from delivery.domain.owed import OwedEmail, OwedEvent
from delivery.use_cases.messages import Outgoing, Verdict, email_message, events_message

Owed = OwedEmail | OwedEvent

MAX_EVENTS = 100
"""Named in one message. In its queue, which is replicated, a message costs ten times what an id does."""


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
        emails = [debt for debt in owed if isinstance(debt, OwedEmail)]
        events = _together([debt.event_id for debt in owed if isinstance(debt, OwedEvent)])
        messages = [email_message(debt, now=now, steps=self._steps) for debt in emails]
        messages += [events_message(event_ids) for event_ids in events]
        verdicts = await self._publisher.publish(messages)
        is_confirmed = [verdict is Verdict.CONFIRMED for verdict in verdicts]
        confirmed = list(compress(emails, is_confirmed))
        if confirmed:
            await self._strike(confirmed)
        return len(confirmed) + sum(map(len, compress(events, is_confirmed[len(emails) :])))


def _together(event_ids: Sequence[str]) -> list[Sequence[str]]:
    return [event_ids[start : start + MAX_EVENTS] for start in range(0, len(event_ids), MAX_EVENTS)]
