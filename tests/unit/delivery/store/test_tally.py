from datetime import timedelta

from delivery.domain.counts import Bin, Changes, Place
from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.domain.lanes import Lane
from delivery.store.tally import Tally
from tests.harness.deadline import wait_until
from tests.unit.delivery.builders import NOW

SENT = (Place("acme", Lane.BULK, NOW), Bin.SENT)
PENDING = (Place("acme", Lane.BULK, NOW), Bin.PENDING)


class Written:
    def __init__(self) -> None:
        self.changes: list[Changes] = []
        self.error: Exception | None = None

    def __call__(self, changes: Changes) -> None:
        if self.error is not None:
            raise self.error
        self.changes.append(changes)


def tally(written: Written, *, seconds: float = 3600) -> Tally:
    return Tally(written, interval=timedelta(seconds=seconds))


def test_changes_are_added_up_and_written_together() -> None:
    written = Written()
    counting = tally(written)
    for _ in range(3):
        counting.add({SENT: 1, PENDING: -1})
    counting.add({PENDING: 3})
    counting.flush()
    counting.flush()
    assert written.changes == [{SENT: 3}], "and what comes to nothing is not written"


def test_they_are_written_after_a_while_by_themselves() -> None:
    written = Written()
    counting = tally(written, seconds=0.001)
    counting.add({SENT: 1})
    wait_until(lambda: written.changes == [{SENT: 1}], within=30, what="the first is written")
    counting.add({SENT: 2})
    wait_until(lambda: written.changes == [{SENT: 1}, {SENT: 2}], within=30, what="the second is written")


def test_while_the_store_is_away_they_wait() -> None:
    written = Written()
    counting = tally(written)
    counting.add({SENT: 1})
    written.error = StoreUnavailable("x")
    counting.flush()
    written.error = None
    counting.add({SENT: 1})
    counting.flush()
    assert written.changes == [{SENT: 2}]


def test_what_may_have_been_written_is_not_written_twice() -> None:
    written = Written()
    counting = tally(written)
    for error in (StoreOutcomeUnknown("x"), ValueError("x")):
        counting.add({SENT: 1})
        written.error = error
        counting.flush()
    written.error = None
    counting.flush()
    assert written.changes == []
