import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from consumers.breaker import BreakerWatch
from consumers.lane_heads import Head
from consumers.lanes import LanesConsumer
from consumers.leases import Leases, RenewableClaims
from consumers.precedence import SMALL_CLAIM, Precedence
from consumers.probing import Tried
from consumers.watermarks import Watermarks
from delivery.bootstrap import ConsumerParts, new_email_id, utc_now
from delivery.broker.announcer import Announcer
from delivery.broker.outbox import Outbox
from delivery.domain.emails import ClaimedEmail, Standing
from delivery.domain.lanes import Lane
from delivery.domain.tenant_lanes import TenantLane
from delivery.domain.watermarks import PROBE_ID, Way
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


class Store:
    """Has no email, so that every message turns out to be stale. Notes how many are claimed together."""

    def __init__(self) -> None:
        self.claims = self.emails = self
        self.claimed: list[int] = []

    def claim(self, email_ids: Sequence[str], **_: Any) -> list[ClaimedEmail]:
        self.claimed.append(len(email_ids))
        return []

    def standings(self, _email_ids: Iterable[str]) -> dict[str, Standing]:
        return {}


def _lanes(
    publisher: StuckPublisher,
    watermarks: Watermarks | None = None,
    *,
    store: Store | None = None,
    slots: int = 4,
) -> LanesConsumer:
    """A consumer whose store must not be asked, unless there is one."""
    config = SimpleNamespace(
        provider=SimpleNamespace(
            min_in_flight=slots, max_in_flight=slots, total_timeout=timedelta(seconds=1)
        ),
        reserved_slots=1,
        lanes={lane: SimpleNamespace(weight=1) for lane in Lane},
        claims=SimpleNamespace(margin=timedelta(seconds=1)),
    )
    parts = SimpleNamespace(
        config=config, publisher=publisher, topology=postroom_topology(), provider=None, store=store
    )
    return LanesConsumer(
        cast(ConsumerParts, parts),
        outbox=cast(Outbox, None),
        announcer=Announcer(publisher),
        leases=Leases(cast(RenewableClaims, store), lease=timedelta(seconds=45), clock=utc_now),
        watermarks=watermarks or Watermarks(),
        breaker=cast(BreakerWatch, None),
        precedence=Precedence(),
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


@pytest.mark.parametrize("is_first", [True, False])
def test_only_a_head_for_which_none_was_passed_over_says_how_far_its_lane_has_come(is_first: bool) -> None:
    published_at = datetime(2026, 1, 1, tzinfo=UTC)
    probe = Incoming(body=encode_email(PROBE_ID, 0), priority=3, timestamp=published_at)
    marks = Watermarks()

    async def consume() -> Tried:
        lanes = _lanes(StuckPublisher(), marks)
        return await lanes.try_head(Head(TenantLane(Lane.BULK), incoming(probe), PROBE_ID, is_first=is_first))

    assert asyncio.run(consume()) is Tried.NOT_CALLED
    assert marks.take() == ({Way(Lane.BULK, 3): published_at} if is_first else {})


def _arrive(lanes: LanesConsumer, lane: Lane, message: Incoming) -> None:
    lanes._arrive(TenantLane(lane), incoming(message))


def test_in_the_presence_of_critical_mail_the_other_lanes_claim_little_at_once() -> None:
    async def consume(*, critical: int) -> list[int]:
        store = Store()
        lanes = _lanes(StuckPublisher(), store=store, slots=64)
        arriving = [(Lane.CRITICAL, _stale()) for _ in range(critical)]
        arriving += [(Lane.BULK, _stale()) for _ in range(40)]
        for lane, message in arriving:
            _arrive(lanes, lane, message)
        claiming = asyncio.create_task(lanes.claim_forever())
        async with asyncio.timeout(60):
            for _, message in arriving:
                await message.settled.wait()
        claiming.cancel()
        with suppress(asyncio.CancelledError):
            await claiming
        return store.claimed

    assert asyncio.run(consume(critical=0)) == [40]
    assert asyncio.run(consume(critical=1)) == [1, SMALL_CLAIM, SMALL_CLAIM, 40 - 2 * SMALL_CLAIM]


def test_what_arrives_during_a_pause_is_claimed_when_it_is_over() -> None:
    async def consume() -> list[int]:
        store = Store()
        lanes = _lanes(StuckPublisher(), store=store)
        late = _stale()
        claiming = asyncio.create_task(lanes.claim_forever())
        await lanes.pause()
        _arrive(lanes, Lane.STANDARD, late)
        await _until_idle(claiming)
        assert not store.claimed
        await lanes.resume()
        async with asyncio.timeout(60):
            await late.settled.wait()
        claiming.cancel()
        with suppress(asyncio.CancelledError):
            await claiming
        return store.claimed

    assert asyncio.run(consume()) == [1]


async def _until_idle(claiming: asyncio.Task[None]) -> None:
    """All that can go on without something new from outside has done so."""
    for _ in range(20):
        await asyncio.sleep(0)
    assert not claiming.done()


def _stale() -> Incoming:
    return Incoming(body=encode_email(new_email_id(), 1))
