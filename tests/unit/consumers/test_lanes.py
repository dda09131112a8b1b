import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

from consumers.breaker import BreakerWatch
from consumers.lanes import LanesConsumer
from consumers.leases import Leases
from consumers.watermarks import Watermarks
from delivery.bootstrap import ConsumerParts
from delivery.broker.announcer import Announcer
from delivery.broker.outbox import Outbox
from delivery.domain.lanes import Lane
from delivery.domain.watermarks import PROBE_ID
from delivery.use_cases.messages import Outgoing, Verdict, encode_email
from tests.unit.consumers.fakes import Incoming, incoming
from topology.definition import postroom_topology


class StuckPublisher:
    """Publishes to a broker that answers nothing."""

    def __init__(self) -> None:
        self.was_called = asyncio.Event()

    async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
        self.was_called.set()
        await asyncio.Event().wait()
        return [Verdict.UNKNOWN] * len(messages)


def _lanes(publisher: StuckPublisher) -> LanesConsumer:
    """A consumer whose store must not be asked."""
    config = SimpleNamespace(
        provider=SimpleNamespace(min_in_flight=4, max_in_flight=4, total_timeout=timedelta(seconds=1)),
        reserved_slots=1,
        lanes={lane: SimpleNamespace(weight=1) for lane in Lane},
        claims=SimpleNamespace(margin=timedelta(seconds=1)),
    )
    parts = SimpleNamespace(
        config=config, publisher=publisher, topology=postroom_topology(), provider=None, store=None
    )
    return LanesConsumer(
        cast(ConsumerParts, parts),
        outbox=cast(Outbox, None),
        announcer=cast(Announcer, None),
        leases=cast(Leases, None),
        watermarks=Watermarks(),
        breaker=cast(BreakerWatch, None),
    )


def test_a_refusal_that_hangs_holds_up_no_claim() -> None:
    async def consume() -> list[str]:
        publisher = StuckPublisher()
        lanes = _lanes(publisher)
        claiming = asyncio.create_task(lanes.claim_forever())
        probe = Incoming(body=encode_email(PROBE_ID, 0))
        async with asyncio.timeout(60):
            _arrive(lanes, Lane.BULK, Incoming(body=b"no email"))
            await publisher.was_called.wait()
            _arrive(lanes, Lane.CRITICAL, probe)
            await probe.settled.wait()
        claiming.cancel()
        with suppress(asyncio.CancelledError):
            await claiming
        return probe.verdicts

    assert asyncio.run(consume()) == ["ack"]


def _arrive(lanes: LanesConsumer, lane: Lane, message: Incoming) -> None:
    lanes._buffers.add(lane, incoming(message))
    lanes._arrived.set()
