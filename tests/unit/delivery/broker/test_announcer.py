import asyncio
import json
from collections.abc import Sequence
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from delivery.broker import announcer as announcing
from delivery.broker.announcer import MAX_BATCH, MAX_WAITING, Announcer
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from delivery.use_cases.messages import Outgoing, Verdict
from tests.unit.delivery.broker.announcing import Publisher, announcing_on, delivered


def _told(publisher: Publisher, *happenings: Sequence[Happening]) -> list[Outgoing]:
    """What is published of what happened, one after the other, when all is told."""

    async def tell() -> None:
        async with announcing_on(publisher) as announcer:
            for each in happenings:
                announcer.tell(each)
                await asyncio.sleep(0)

    asyncio.run(tell())
    return publisher.told


def test_all_that_happens_is_counted_told_or_not() -> None:
    counted: list[Happening] = []
    announcer = Announcer(Publisher(), count=counted.extend)
    announcer.tell([delivered()] * MAX_WAITING)
    announcer.tell([delivered()] * 2)
    assert len(counted) == MAX_WAITING + 2


@given(
    st.lists(
        st.builds(
            Happening,
            tenant_id=st.text(max_size=20),
            email_id=st.uuids().map(str),
            lane=st.sampled_from(Lane),
            state=st.sampled_from(State),
            at=st.datetimes(timezones=st.just(UTC)),
        ),
        max_size=5,
    )
)
def test_what_happened_is_told_in_order_with_all_that_is_promised(happenings: list[Happening]) -> None:
    told = _told(Publisher(), happenings, happenings)
    assert [json.loads(message.body) for message in told] == [
        {
            "event": happening.state.value,
            "email_id": happening.email_id,
            "tenant_id": happening.tenant_id,
            "lane": happening.lane.value,
            "at": happening.at.isoformat(),
        }
        for happening in happenings * 2
    ]
    assert [message.routing_key for message in told] == [
        f"{happening.tenant_id}.{happening.lane.value}.{happening.state.value}"
        for happening in happenings * 2
    ]
    assert {(message.exchange, message.expects_queue) for message in told} <= {("email.events", False)}


def test_what_happens_soon_after_is_told_together_with_it() -> None:
    publisher = Publisher()
    _told(publisher, *[[delivered()]] * 5)
    assert [len(batch) for batch in publisher.batches] == [5]


def test_no_more_than_a_batch_is_told_at_once_and_one_that_fails_spoils_no_other() -> None:
    publisher = Publisher(fails_first=True)
    _told(publisher, [delivered()] * (2 * MAX_BATCH + 1))
    assert [len(batch) for batch in publisher.batches] == [MAX_BATCH, 1]


def test_nobody_need_ask_for_it() -> None:
    class Telling(Publisher):
        async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
            is_told.set()
            return await super().publish(messages)

    is_told = asyncio.Event()

    async def tell() -> None:
        announcer = Announcer(Telling(), gathering=0)
        running = asyncio.create_task(announcer.run())
        announcer.tell([delivered()])
        async with asyncio.timeout(60):
            await is_told.wait()
        running.cancel()

    asyncio.run(tell())


def test_where_nothing_happened_nothing_is_left_to_tell() -> None:
    assert _told(Publisher(), []) == []


def test_more_kinds_than_are_remembered_are_told_all_the_same() -> None:
    happenings = [delivered(str(number)) for number in range(announcing.MAX_KINDS + 2)]
    told = _told(Publisher(), happenings)
    assert [json.loads(message.body)["tenant_id"] for message in told] == [
        happening.tenant_id for happening in happenings
    ]
