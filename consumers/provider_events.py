"""``provider_event``: what providers reported is applied to the emails."""

from collections.abc import Sequence

from consumers.batch_consumer import BatchConsumer, Refusal
from consumers.settlement import until_store_answers
from delivery.bootstrap import ConsumerParts
from delivery.broker.announcer import Announcer
from delivery.broker.delivery import Message
from delivery.use_cases.messages import decode_event
from topology import names

PREFETCH = 500


def provider_event_consumer(parts: ConsumerParts, announcer: Announcer) -> BatchConsumer:
    async def work(batch: Sequence[Message]) -> Sequence[Refusal]:
        event_ids = [decode_event(message.body) for message in batch]
        happened = await until_store_answers(
            lambda: parts.store.apply_events(parts.store.events.pending(event_ids))
        )
        announcer.tell(happened)
        return ()

    return BatchConsumer(
        names.PROVIDER_EVENT_QUEUE,
        prefetch=PREFETCH,
        work=work,
        publisher=parts.publisher,
        topology=parts.topology,
    )
