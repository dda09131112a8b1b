import asyncio
from collections.abc import Sequence

import pytest

from delivery.domain.delays import DelayStep
from delivery.domain.errors import StoreUnavailable
from delivery.domain.owed import OwedEmail, OwedEvent, OwedTo
from delivery.use_cases.messages import Outgoing, Verdict, decode_events
from delivery.use_cases.publish_owed import MAX_EVENTS, Owed, PublishOwed
from tests.unit.delivery.builders import NOW, owed_email, seconds


class Publisher:
    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.messages: list[Outgoing] = []

    async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
        self.messages += messages
        return self.verdicts


class Debts:
    def __init__(self) -> None:
        self.struck: list[OwedEmail] = []
        self.calls = 0

    async def strike(self, confirmed: Sequence[OwedEmail]) -> None:
        self.calls += 1
        self.struck += confirmed


def _publish(publisher: Publisher, debts: Debts, *owed: Owed) -> int:
    publish = PublishOwed(
        publisher=publisher, strike=debts.strike, steps=(DelayStep(seconds(5), "5s"),), clock=lambda: NOW
    )
    return asyncio.run(publish(owed))


def test_only_what_the_broker_confirmed_is_struck() -> None:
    owed = [owed_email(email_id=name) for name in "abc"]
    debts = Debts()
    publisher = Publisher(Verdict.CONFIRMED, Verdict.REFUSED, Verdict.UNKNOWN)
    assert _publish(publisher, debts, *owed) == 1
    assert debts.struck == owed[:1]


def test_each_debt_is_addressed_for_the_moment_of_its_publish() -> None:
    publisher = Publisher(Verdict.CONFIRMED, Verdict.CONFIRMED, Verdict.CONFIRMED)
    _publish(
        publisher,
        Debts(),
        owed_email(),
        owed_email(to=OwedTo.DELAY, due_at=NOW + seconds(2)),
        OwedEvent(event_id="e"),
    )
    assert [(message.exchange, message.routing_key) for message in publisher.messages] == [
        ("email", "transactional"),
        ("delay.5s", "transactional"),
        ("email", "provider_event"),
    ]


def test_events_are_named_together_and_count_one_by_one() -> None:
    events = [OwedEvent(event_id=f"p:{number}") for number in range(MAX_EVENTS + 2)]
    email = owed_email()
    debts, publisher = Debts(), Publisher(Verdict.CONFIRMED, Verdict.UNKNOWN, Verdict.CONFIRMED)
    assert _publish(publisher, debts, *events[:50], email, *events[50:]) == 3
    assert debts.struck == [email]
    told = [decode_events(message.body) for message in publisher.messages[1:]]
    assert [len(event_ids) for event_ids in told] == [MAX_EVENTS, 2]
    assert [event_id for event_ids in told for event_id in event_ids] == [event.event_id for event in events]


def test_an_event_is_struck_when_it_is_applied_and_not_before() -> None:
    debts = Debts()
    assert _publish(Publisher(Verdict.CONFIRMED), debts, OwedEvent(event_id="e")) == 1
    assert debts.calls == 0


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.RETURNED, Verdict.UNKNOWN])
def test_where_nothing_was_confirmed_the_store_is_not_bothered(verdict: Verdict) -> None:
    debts = Debts()
    assert _publish(Publisher(verdict), debts, owed_email()) == 0
    assert debts.calls == 0


def test_that_striking_failed_is_told() -> None:
    class Away(Debts):
        async def strike(self, confirmed: Sequence[OwedEmail]) -> None:
            raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        _publish(Publisher(Verdict.CONFIRMED), Away(), owed_email())
