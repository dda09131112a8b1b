"""What becomes of messages in a lane that won no claim."""

import asyncio
import logging
from collections.abc import Sequence

from aio_pika.abc import AbstractIncomingMessage

from consumers.settlement import PAUSE, acknowledge, give_back, until_store_answers
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.outbox import Outbox
from delivery.domain.emails import Standing
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, OwedTo
from delivery.use_cases.claim_emails import Stray
from delivery.use_cases.messages import EmailMessage, Verdict, email_message
from delivery.use_cases.requeue_emails import requeue_emails

log = logging.getLogger(__name__)

StrayMessage = tuple[Lane, AbstractIncomingMessage, EmailMessage, Stray, Standing | None]


class Strays:
    """Settles strays in tasks of the caller's."""

    def __init__(self, parts: ConsumerParts, outbox: Outbox) -> None:
        self._parts = parts
        self._outbox = outbox

    async def settle(self, strays: Sequence[StrayMessage]) -> None:
        letters = [stray for stray in strays if stray[3] is Stray.LETTER]
        if letters:
            owed = await until_store_answers(
                lambda: requeue_emails(
                    [email for _, _, email, _, _ in letters], emails=self._parts.store.emails, now=utc_now()
                )
            )
            self._outbox.hand_over(owed)
        early = [stray for stray in strays if stray[3] is Stray.EARLY]
        await asyncio.gather(*(self._delay_again(stray) for stray in early))
        await acknowledge(message for _, message, _, stray, _ in strays if stray is not Stray.EARLY)

    async def _delay_again(self, stray: StrayMessage) -> None:
        """The same message into a delay, and only when that is confirmed is this one acknowledged."""
        lane, message, email, _, standing = stray
        assert standing is not None
        outgoing = email_message(
            OwedEmail(
                email_id=email.email_id,
                gen=email.gen,
                to=OwedTo.DELAY,
                lane=lane,
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
