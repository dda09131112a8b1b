"""``provider_event``: what providers reported is applied to the emails."""

from collections.abc import Awaitable, Callable, Sequence

from consumers.batch_consumer import BatchConsumer, Refusal
from consumers.settlement import until_store_answers
from delivery.bootstrap import ConsumerParts
from delivery.broker.announcer import Announcer
from delivery.broker.delivery import Message
from delivery.use_cases.messages import decode_events
from topology import names

PREFETCH = 100
"""Messages. Each may name as many events."""

MAX_BATCH = 500
"""Events that are applied together."""

PAUSE = 0.02
"""Seconds."""


def provider_event_consumer(
    parts: ConsumerParts, announcer: Announcer, *, give_way: Callable[[], Awaitable[None]]
) -> BatchConsumer:
    """give_way: waits for what is more urgent than to apply events."""

    async def work(batch: Sequence[Message]) -> Sequence[Refusal]:
        event_ids = [event_id for message in batch for event_id in decode_events(message.body)]
        for start in range(0, len(event_ids), MAX_BATCH):
            await give_way()
            await _apply(event_ids[start : start + MAX_BATCH], parts, announcer)
        return ()

    return BatchConsumer(
        names.PROVIDER_EVENT_QUEUE,
        prefetch=PREFETCH,
        work=work,
        publisher=parts.publisher,
        topology=parts.topology,
        pause=PAUSE,
    )


async def _apply(event_ids: Sequence[str], parts: ConsumerParts, announcer: Announcer) -> None:
    """Raises what an event met, when all others are applied: those of a message have but one verdict."""
    try:
        happened = await until_store_answers(
            lambda: parts.store.apply_events(parts.store.events.pending(event_ids))
        )
    except Exception:
        if len(event_ids) == 1:
            raise
        half = len(event_ids) // 2
        try:
            await _apply(event_ids[:half], parts, announcer)
        finally:
            await _apply(event_ids[half:], parts, announcer)
    else:
        announcer.tell(happened)
