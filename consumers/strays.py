"""What becomes of messages in a lane that won no claim."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from consumers.settlement import PAUSE, acknowledge, give_back, until_store_answers
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.announcer import Announcer
from delivery.broker.delivery import Message
from delivery.broker.outbox import Outbox
from delivery.domain.emails import Standing
from delivery.domain.owed import OwedEmail, OwedTo
from delivery.domain.tenant_lanes import TenantLane
from delivery.use_cases.claim_emails import Stray
from delivery.use_cases.messages import EmailMessage, Verdict, email_message
from delivery.use_cases.requeue_emails import requeue_emails

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StrayMessage:
    """A message in a lane that won no claim, why, and where its email stands."""

    place: TenantLane
    message: Message
    email: EmailMessage
    stray: Stray
    standing: Standing | None


class Strays:
    """Settles strays in tasks of the caller's."""

    def __init__(self, parts: ConsumerParts, *, outbox: Outbox, announcer: Announcer) -> None:
        self._parts = parts
        self._outbox = outbox
        self._announcer = announcer

    async def settle(self, strays: Sequence[StrayMessage]) -> None:
        """Never raises: what can't be settled now goes back to its lane."""
        try:
            await self._settle(strays)
        except Exception as error:
            log.error("strays given back count=%d error=%s", len(strays), type(error).__name__)
            await asyncio.sleep(PAUSE)
            await give_back(item.message for item in strays)

    async def _settle(self, strays: Sequence[StrayMessage]) -> None:
        letters = [item.email for item in strays if item.stray is Stray.LETTER]
        if letters:
            requeued = await until_store_answers(
                lambda: requeue_emails(letters, emails=self._parts.store.emails, now=utc_now())
            )
            self._outbox.hand_over(requeued.owed)
            self._announcer.tell(requeued.happened)
        early = [item for item in strays if item.stray is Stray.EARLY]
        await asyncio.gather(*(self._delay_again(item) for item in early))
        await acknowledge(item.message for item in strays if item.stray is not Stray.EARLY)

    async def _delay_again(self, early: StrayMessage) -> None:
        """The same message into a delay, and only when that is confirmed is this one acknowledged."""
        place, message, email, standing = early.place, early.message, early.email, early.standing
        assert standing is not None
        outgoing = email_message(
            OwedEmail(
                email_id=email.email_id,
                tenant_id=standing.tenant_id,
                gen=email.gen,
                to=OwedTo.DELAY,
                lane=place.lane,
                priority=message.priority or 0,
                due_at=standing.due_at,
                attempts=standing.attempts,
                waits=1,
                accepted_at=standing.accepted_at,
            ),
            now=utc_now(),
            steps=self._parts.config.delay_steps,
        )
        if await self._parts.publisher.publish([outgoing]) == [Verdict.CONFIRMED]:
            await acknowledge([message])
        else:
            await asyncio.sleep(PAUSE)
            await give_back([message])
