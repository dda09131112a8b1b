import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from consumers.precedence import Precedence
from consumers.provider_events import MAX_BATCH, provider_event_consumer
from delivery.bootstrap import ConsumerParts
from delivery.broker.announcer import Announcer
from delivery.domain.errors import StoreUnavailable
from delivery.use_cases.messages import encode_events
from tests.unit.consumers.fakes import Incoming, Publisher, consume
from topology.definition import postroom_topology


class Store:
    """Remembers what was applied; ``breaking`` an event it does not."""

    def __init__(self, breaking: str | None = None) -> None:
        self.events = self
        self.breaking = breaking
        self.is_away_once = False
        self.batches: list[list[str]] = []

    def pending(self, event_ids: Sequence[str]) -> list[str]:
        return list(event_ids)

    def apply_events(self, event_ids: list[str]) -> list[str]:
        if self.is_away_once:
            self.is_away_once = False
            raise StoreUnavailable("away")
        if self.breaking in event_ids:
            raise ValueError("an event that breaks us")
        self.batches.append(event_ids)
        return event_ids

    @property
    def applied(self) -> list[str]:
        return [event_id for batch in self.batches for event_id in batch]


class Told(Announcer):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def tell(self, happenings: Sequence[Any]) -> None:
        self.told += happenings


class Way(Precedence):
    """Notes how many batches were applied whenever it is given."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self.given_after: list[int] = []

    async def give_way(self) -> None:
        self.given_after.append(len(self._store.batches))


def _consumed(store: Store, *messages: Incoming, precedence: Precedence | None = None) -> list[Any]:
    way = precedence or Precedence()
    told = Told()
    parts = SimpleNamespace(store=store, publisher=Publisher(), topology=postroom_topology(delay_steps=[]))
    asyncio.run(
        consume(
            lambda: provider_event_consumer(cast(ConsumerParts, parts), told, give_way=way.give_way),
            messages,
        )
    )
    return told.told


def _message(*event_ids: str) -> Incoming:
    return Incoming(body=encode_events(event_ids))


def test_events_of_old_and_new_messages_are_applied_together() -> None:
    store = Store()
    messages = [Incoming(body=json.dumps({"id": "p:1"}).encode()), _message("p:2", "p:3")]
    assert _consumed(store, *messages) == ["p:1", "p:2", "p:3"]
    assert store.batches == [["p:1", "p:2", "p:3"]]
    assert [message.verdicts for message in messages] == [["ack"], ["ack"]]


def test_no_more_than_a_batch_is_applied_at_once() -> None:
    store = Store()
    event_ids = [f"p:{number}" for number in range(MAX_BATCH + 1)]
    _consumed(store, _message(*event_ids))
    assert store.batches == [event_ids[:MAX_BATCH], event_ids[MAX_BATCH:]]


def test_each_batch_gives_way_to_critical_mail() -> None:
    store = Store()
    way = Way(store)
    _consumed(store, _message(*(f"p:{number}" for number in range(MAX_BATCH + 1))), precedence=way)
    assert way.given_after == [0, 1]


def test_an_event_that_breaks_us_goes_back_and_all_others_are_applied() -> None:
    store = Store(breaking="p:3")
    others, broken = _message("p:1", "p:2"), _message("p:3", "p:4", "p:5")
    told = _consumed(store, others, broken)
    assert set(store.applied) == set(told) == {"p:1", "p:2", "p:4", "p:5"}
    assert (others.verdicts, broken.verdicts) == (["ack"], ["nack"])


def test_while_the_store_is_away_the_message_waits() -> None:
    store = Store()
    store.is_away_once = True
    message = _message("p:1", "p:2")
    assert _consumed(store, message) == ["p:1", "p:2"]
    assert message.verdicts == ["ack"]
