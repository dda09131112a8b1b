"""``email.requeue``: dead and held letters that a person moved here are sent again."""

from collections.abc import Sequence

from consumers.batch_consumer import BatchConsumer, Refusal
from consumers.settlement import until_store_answers
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.announcer import Announcer
from delivery.broker.delivery import Message
from delivery.broker.outbox import Outbox
from delivery.use_cases.messages import decode_email
from delivery.use_cases.requeue_emails import requeue_emails
from topology import names

PREFETCH = 200


def requeue_consumer(parts: ConsumerParts, *, outbox: Outbox, announcer: Announcer) -> BatchConsumer:
    async def work(batch: Sequence[Message]) -> Sequence[Refusal]:
        letters = [decode_email(message.body) for message in batch]
        requeued = await until_store_answers(
            lambda: requeue_emails(letters, emails=parts.store.emails, now=utc_now())
        )
        outbox.hand_over(requeued.owed)
        announcer.tell(requeued.happened)
        return ()

    return BatchConsumer(
        names.REQUEUE_QUEUE,
        prefetch=PREFETCH,
        work=work,
        publisher=parts.publisher,
        topology=parts.topology,
    )
