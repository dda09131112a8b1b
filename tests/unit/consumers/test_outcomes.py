import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

from consumers.leases import Leases, RenewableClaims
from consumers.outcomes import Answered, Outcomes
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.announcer import Announcer
from delivery.broker.outbox import Outbox
from delivery.domain.emails import ClaimedEmail
from delivery.domain.lanes import Lane
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.owed import Written
from delivery.domain.settlement import Settlement
from delivery.domain.tenant_lanes import TenantLane
from delivery.use_cases.publish_owed import Owed
from tests.unit.consumers.fakes import Incoming, Publisher, incoming
from tests.unit.delivery.builders import CHECKS, claimed, policy


class Claims:
    """Notes how many outcomes are written together."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def settle(self, settled: Sequence[tuple[ClaimedEmail, Settlement]]) -> Written:
        self.batches.append(len(settled))
        return Written()


async def _publish(_owed: Sequence[Owed]) -> int:
    return 0


def _accepted(message: Incoming) -> Answered:
    email = claimed()
    return Answered(TenantLane(email.lane), incoming(message), email, Answer(Outcome.ACCEPTED, ""))


def test_what_comes_while_outcomes_give_way_is_written_together_with_them() -> None:
    async def settle() -> tuple[list[int], list[str]]:
        claims, waits, is_clear = Claims(), asyncio.Event(), asyncio.Event()
        config = SimpleNamespace(lanes={lane: policy() for lane in Lane}, checks=CHECKS)
        parts = SimpleNamespace(store=SimpleNamespace(claims=claims), config=config)

        async def give_way() -> None:
            waits.set()
            await is_clear.wait()

        outcomes = Outcomes(
            cast(ConsumerParts, parts),
            outbox=Outbox(_publish),
            announcer=Announcer(Publisher()),
            leases=Leases(cast(RenewableClaims, None), lease=timedelta(seconds=45), clock=utc_now),
            written=lambda _: None,
            give_way=give_way,
        )
        messages = [Incoming(), Incoming()]
        running = asyncio.create_task(outcomes.run())
        async with asyncio.timeout(60):
            outcomes.add(_accepted(messages[0]))
            await waits.wait()
            outcomes.add(_accepted(messages[1]))
            is_clear.set()
            await outcomes.settled(within=60)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return claims.batches, [verdict for message in messages for verdict in message.verdicts]

    assert asyncio.run(settle()) == ([2], ["ack", "ack"])
