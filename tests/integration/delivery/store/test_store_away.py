"""What a store that is killed, cut off or stalled means: nothing was written, or it may have been."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.domain.inserted import Inserted
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, OwedTo
from delivery.domain.provider_events import ProviderEvent
from delivery.domain.reports import Report
from delivery.domain.states import State
from delivery.store.client import ping
from delivery.store.indexes import create_indexes
from delivery.use_cases.accept_emails import accept_emails
from tests.harness.deadline import wait_until
from tests.harness.line import Line
from tests.harness.store import StoreDatabase, StoreServer
from tests.integration.delivery.store.conftest import UNTIL, Store, ids, settlement
from tests.unit.delivery.builders import NOW, claimed, new_email, owed_email, seconds, standing

TIMEOUT = timedelta(seconds=1.5)
EVENT = ProviderEvent(provider="p", provider_event_id="1", email_id="a", report=Report.DELIVERED, raw="{}")


@pytest.fixture
def line(database: StoreDatabase, line_to: Callable[[int], Line]) -> Line:
    return line_to(database.port)


@pytest.fixture
def postroom(database: StoreDatabase, line: Line, open_store: Callable[..., Store]) -> Store:
    """The collections over a line that the test may cut and stall, with the API's patience."""
    opened: Store = open_store(line.over(database.uri), timeout=TIMEOUT)
    return opened


@pytest.fixture
def truth(database: StoreDatabase, open_store: Callable[..., Store]) -> Store:
    """The same collections over no line."""
    opened: Store = open_store(database.uri)
    return opened


def _error(call: Callable[[], Any]) -> type[Exception]:
    with pytest.raises(StoreUnavailable) as raised:
        call()
    return type(raised.value)


def test_a_write_whose_answer_is_stalled_may_have_happened(postroom: Store, line: Line, truth: Store) -> None:
    postroom.insert("a")
    line.stall()
    assert _error(lambda: postroom.emails.insert([new_email("b")])) is StoreOutcomeUnknown
    assert not ping(postroom.db)
    line.restore()
    wait_until(lambda: ping(postroom.db), within=30, what="the store answers again")
    assert truth.emails.get("default", "a") is not None


def test_a_store_that_is_cut_off_is_noticed_and_comes_back_by_itself(postroom: Store, line: Line) -> None:
    postroom.insert("a")
    line.cut()
    wait_until(
        lambda: _error(lambda: postroom.emails.insert([new_email("b")])) is StoreUnavailable,
        within=30,
        what="it is known that nothing is sent",
    )
    line.restore()
    wait_until(lambda: ping(postroom.db), within=30, what="the store answers again")
    assert postroom.emails.insert([new_email("c")]) == Inserted()


EVERY_CALL: dict[str, Callable[[Store], Any]] = {
    "insert": lambda store: store.emails.insert([new_email("b")]),
    "get": lambda store: store.emails.get("default", "a"),
    "standings": lambda store: store.emails.standings(["a"]),
    "content_hashes": lambda store: store.emails.content_hashes(["a"]),
    "owed": lambda store: store.emails.owed(Lane.BULK, older_than=NOW, limit=1),
    "owing": lambda store: store.emails.owing(["a"]),
    "still_owed": lambda store: store.emails.still_owed([owed_email(since=NOW)]),
    "clear_owed": lambda store: store.emails.clear_owed([owed_email()], now=NOW),
    "revive": lambda store: store.emails.revive([("a", 1)], now=NOW),
    "claim": lambda store: store.claim("a"),
    "expire": lambda store: store.claims.expire(["a"], now=NOW),
    "renew": lambda store: store.claims.renew(["a"], tokens=["token"], until=UNTIL),
    "give_back": lambda store: store.claims.give_back([claimed()], now=NOW),
    "settle": lambda store: store.settle(claimed(), state=State.SUBMITTED),
    "run_out": lambda store: store.run_out(),
    "events.insert": lambda store: store.events.insert([EVENT], now=NOW),
    "events.pending": lambda store: store.events.pending(["p:1"]),
    "events.overdue": lambda store: store.events.overdue(older_than=NOW, limit=1),
    "events.record_effects": lambda store: store.events.record_effects({"x": ["x"]}, now=NOW),
    "reported.apply": lambda store: store.reported.apply([(standing(), State.DELIVERED)], now=NOW),
    "leadership.hold": lambda store: store.leadership("me").hold("relay", now=NOW, ttl=seconds(9)),
    "leadership.release": lambda store: store.leadership("me").release("relay"),
    "create_indexes": lambda store: create_indexes(store.db),
}


def test_whatever_is_asked_of_an_absent_store_nothing_was_written(open_store: Callable[..., Store]) -> None:
    away = open_store("mongodb://127.0.0.1:1/x?retryWrites=false", indexes=False, timeout=seconds(0.1))
    with ThreadPoolExecutor(len(EVERY_CALL)) as threads:
        calls = {name: threads.submit(_error, partial(ask, away)) for name, ask in EVERY_CALL.items()}
        errors = {name: call.result() for name, call in calls.items()}
    assert errors == dict.fromkeys(EVERY_CALL, StoreUnavailable)


def test_every_write_repeated_after_its_answer_was_lost_ends_in_the_same_place_and_owes_the_same(
    database: StoreDatabase, line: Line, open_store: Callable[..., Store], truth: Store
) -> None:
    """The line holds each write back and lets it go only when its caller has given up on it."""
    truth.insert("claim", "settle", "give back", "revive")
    truth.change("revive", state=State.DEAD)
    (to_settle,), (to_give_back,) = truth.claim("settle"), truth.claim("give back")
    retry = settlement(to_settle, state=State.RETRYING, owed=OwedTo.DELAY, due_at=NOW)

    def accept(postroom: Store) -> list[OwedEmail]:
        handed: list[OwedEmail] = []
        accept_emails([new_email("accept")], emails=postroom.emails, hand_over=handed.extend)
        return handed

    calls: dict[str, Callable[[Store], Sequence[Any]]] = {
        "accept": accept,
        "claim": lambda postroom: postroom.claim("claim", token="mine"),
        "settle": lambda postroom: postroom.claims.settle([(to_settle, retry)]).owed,
        "give back": lambda postroom: postroom.claims.give_back([to_give_back], now=NOW),
        "revive": lambda postroom: postroom.emails.revive([("revive", 1)], now=NOW),
    }
    writes: dict[str, Callable[[], Sequence[Any]]] = {}
    for name, call in calls.items():  # each on a connection of its own, which is there before the stall
        postroom = open_store(line.over(database.uri), timeout=TIMEOUT, indexes=False)
        assert ping(postroom.db)
        writes[name] = partial(call, postroom)
    line.stall()
    with ThreadPoolExecutor(len(writes)) as threads:
        lost = {name: threads.submit(_error, write) for name, write in writes.items()}
        assert {name: error.result() for name, error in lost.items()} == dict.fromkeys(
            writes, StoreOutcomeUnknown
        )
    line.restore()
    for name, write in writes.items():
        answer = wait_until(write, within=30, what=f"{name} is answered")
        assert ids(answer) == ids(write()) == [name]
    assert {name: truth.state(name) for name in writes} == {
        "accept": State.QUEUED,
        "claim": State.SUBMITTING,
        "settle": State.RETRYING,
        "give back": State.QUEUED,
        "revive": State.QUEUED,
    }
    assert [truth.document(name)["gen"] for name in writes] == [1, 1, 2, 2, 2]
    assert truth.document("claim")["calls"] == 1
    assert truth.document("give back")["calls"] == 0
    assert truth.document("settle")["attempts"] == 1
    assert truth.document("revive")["requeues"] == 1
    assert all(len(truth.document(name)["history"]) == 1 for name in ("settle", "revive"))


def test_what_a_killed_store_acknowledged_it_still_has(
    own_store: Callable[[], StoreServer], open_store: Callable[..., Store]
) -> None:
    server = own_store()
    postroom = open_store(server.uri, timeout=TIMEOUT)
    postroom.insert("a", "b")
    claimed_a = postroom.claim("a")
    server.crash()
    assert issubclass(_error(lambda: postroom.claim("b")), StoreUnavailable)
    wait_until(
        lambda: _error(lambda: postroom.insert("c")) is StoreUnavailable,
        within=30,
        what="it is known that nothing is sent",
    )
    server.start_again()
    wait_until(lambda: ping(postroom.db), within=30, what="the store answers again")
    assert postroom.state("a") is State.SUBMITTING
    assert postroom.claim("a") == claimed_a
    assert postroom.emails.get("default", "c") is None
    assert ids(postroom.claim("b")) == ["b"]
