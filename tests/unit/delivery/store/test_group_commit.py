import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import pytest

from delivery.domain.errors import NotStored, PostroomError, StoreOutcomeUnknown, StoreUnavailable
from delivery.store.group_commit import LARGE, MAX_BATCH, MAX_BATCH_BYTES, GroupCommit, Waiting
from tests.harness.deadline import wait_until

LONG = timedelta(seconds=60)
AT_ONCE = timedelta(0)


class Writes:
    """A store whose writes begin when they are called and end when the test lets them."""

    def __init__(self, *, ends_by_itself: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.error: Exception | None = None
        self._may_end = threading.Semaphore(10_000 if ends_by_itself else 0)

    def __call__(self, batch: Sequence[int]) -> Sequence[str]:
        self.batches.append(list(batch))
        assert self._may_end.acquire(timeout=60)
        if self.error is not None:
            raise self.error
        return [f"wrote {item}" for item in batch]

    def end_one(self) -> None:
        self._may_end.release()

    def wait_until_begun(self, count: int) -> None:
        wait_until(lambda: len(self.batches) >= count, within=30, what=f"{count} writes have begun")


def _waiting(group: GroupCommit[int, str]) -> int:
    return len(group._waiting)


def _commit_many(
    threads: ThreadPoolExecutor, group: GroupCommit[int, str], items: range
) -> list[Future[str]]:
    before = _waiting(group)
    futures = [threads.submit(group.commit, item, within=LONG) for item in items]
    wait_until(lambda: _waiting(group) == before + len(items), within=30, what="all of them wait")
    return futures


def test_a_lone_item_is_written_alone_and_at_once() -> None:
    writes = Writes()
    assert GroupCommit(writes, name="test").commit(7, within=LONG) == "wrote 7"
    assert writes.batches == [[7]]


def test_what_arrives_during_a_write_shares_the_next() -> None:
    writes = Writes(ends_by_itself=False)
    group = GroupCommit(writes, name="test")
    with ThreadPoolExecutor(51) as threads:
        first = threads.submit(group.commit, 0, within=LONG)
        writes.wait_until_begun(1)
        others = _commit_many(threads, group, range(1, 51))
        writes.end_one()
        writes.end_one()
        assert first.result() == "wrote 0"
        assert [future.result() for future in others] == [f"wrote {item}" for item in range(1, 51)]
    assert [len(batch) for batch in writes.batches] == [1, 50]


def test_a_batch_has_a_most() -> None:
    writes = Writes(ends_by_itself=False)
    group = GroupCommit(writes, name="test")
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(group.commit, 0, within=LONG)
        writes.wait_until_begun(1)
        with group._wake:
            group._waiting.extend(Waiting(item, 0, 1, Future()) for item in range(1, MAX_BATCH + 2))
        for _ in range(3):
            writes.end_one()
        first.result()
        writes.wait_until_begun(3)
    assert [len(batch) for batch in writes.batches] == [1, MAX_BATCH, 1]


def test_an_error_reaches_every_caller_of_its_batch_and_the_next_batch_works() -> None:
    writes = Writes(ends_by_itself=False)
    group = GroupCommit(writes, name="test")
    with ThreadPoolExecutor(11) as threads:
        first = threads.submit(group.commit, 0, within=LONG)
        writes.wait_until_begun(1)
        others = _commit_many(threads, group, range(1, 11))
        writes.end_one()
        first.result()
        writes.wait_until_begun(2)
        writes.error = StoreUnavailable("away")
        writes.end_one()
        for future in others:
            with pytest.raises(StoreUnavailable):
                future.result()
        writes.error = None
        writes.end_one()
        assert group.commit(11, within=LONG) == "wrote 11"


def test_the_error_of_one_item_reaches_its_own_caller_alone() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def write(batch: Sequence[int]) -> Sequence[str | PostroomError]:
        begun.set()
        assert go_on.wait(60)
        return [NotStored("no") if item == 2 else f"wrote {item}" for item in batch]

    group = GroupCommit(write, name="test")
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(group.commit, 0, within=LONG)
        assert begun.wait(60)
        one, two, three = _commit_many(threads, group, range(1, 4))
        go_on.set()
        assert [future.result() for future in (first, one, three)] == ["wrote 0", "wrote 1", "wrote 3"]
        with pytest.raises(NotStored):
            two.result()


def test_a_write_that_forgets_an_item_fails_its_batch_and_the_next_batch_works() -> None:
    def write(batch: Sequence[int]) -> Sequence[str]:
        return [f"wrote {item}" for item in batch if item != 1]

    group = GroupCommit(write, name="test")
    with pytest.raises(ValueError, match="shorter"):
        group.commit(1, within=LONG)
    assert group.commit(2, within=LONG) == "wrote 2"


def test_what_still_waits_at_its_deadline_is_withdrawn_and_never_written() -> None:
    writes = Writes(ends_by_itself=False)
    group = GroupCommit(writes, name="test")
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(group.commit, 0, within=LONG)
        writes.wait_until_begun(1)
        with pytest.raises(StoreUnavailable) as withdrawn:
            group.commit(1, within=AT_ONCE)
        assert not isinstance(withdrawn.value, StoreOutcomeUnknown)
        after = threads.submit(group.commit, 2, within=LONG)
        wait_until(lambda: _waiting(group) == 2, within=30, what="the next one waits behind it")
        for _ in range(2):
            writes.end_one()
        assert (first.result(), after.result()) == ("wrote 0", "wrote 2")
    assert writes.batches == [[0], [2]]


def test_what_is_being_written_at_its_deadline_may_have_happened() -> None:
    writes = Writes(ends_by_itself=False)
    group = GroupCommit(writes, name="test")
    with ThreadPoolExecutor(1) as threads:
        caller = threads.submit(group.commit, 0, within=timedelta(seconds=2))
        writes.wait_until_begun(1)
        with pytest.raises(StoreOutcomeUnknown):
            caller.result()
    writes.end_one()
    writes.end_one()
    assert group.commit(1, within=LONG) == "wrote 1"


def test_no_thread_runs_before_the_first_item() -> None:
    GroupCommit(Writes(), name="a thread that should not be")
    assert "a thread that should not be" not in {thread.name for thread in threading.enumerate()}


def test_a_batch_ends_before_it_has_too_many_bytes() -> None:
    writes = Writes(ends_by_itself=False)
    quarter = MAX_BATCH_BYTES // 4
    sizes = [0, quarter, quarter, quarter, quarter, quarter, 1, 2]
    group = GroupCommit(writes, name="test", size=lambda item: sizes[item])
    with ThreadPoolExecutor(len(sizes)) as threads:
        futures = [threads.submit(group.commit, 0, within=LONG)]
        writes.wait_until_begun(1)
        for item in range(1, len(sizes)):
            futures += _commit_many(threads, group, range(item, item + 1))
        for _ in sizes:
            writes.end_one()
        assert [future.result() for future in futures] == [f"wrote {item}" for item in range(len(sizes))]
    assert writes.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_a_batch_ends_before_it_has_too_many_documents_and_one_item_may_have_more() -> None:
    writes = Writes(ends_by_itself=False)
    counts = [1, 100, 1, 40, 60, 1, 300, 1]
    group = GroupCommit(writes, name="test", count=lambda item: counts[item], most=100)
    with ThreadPoolExecutor(len(counts)) as threads:
        futures = [threads.submit(group.commit, 0, within=LONG)]
        writes.wait_until_begun(1)
        for item in range(1, len(counts)):
            futures += _commit_many(threads, group, range(item, item + 1))
        for _ in counts:
            writes.end_one()
        assert [future.result() for future in futures] == [f"wrote {item}" for item in range(len(counts))]
    assert writes.batches == [[0], [1], [2, 3], [4, 5], [6], [7]]


def test_a_large_item_is_written_while_others_are_and_holds_up_nobody() -> None:
    writes = Writes(ends_by_itself=False)
    group = GroupCommit(writes, name="test", size=lambda item: LARGE + 1 if item < 0 else 1)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(group.commit, 1, within=LONG)
        writes.wait_until_begun(1)
        large = [threads.submit(group.commit, item, within=AT_ONCE) for item in (-1, -2)]
        writes.wait_until_begun(3)
        for _ in range(3):
            writes.end_one()
        assert [future.result() for future in (first, *large)] == ["wrote 1", "wrote -1", "wrote -2"]


def test_a_large_items_error_reaches_its_caller() -> None:
    group = GroupCommit[int, str](
        lambda batch: [NotStored("no") for _ in batch], name="test", size=lambda _: LARGE + 1
    )
    with pytest.raises(NotStored):
        group.commit(1, within=LONG)


def test_what_is_submitted_is_written_together_once_it_is_woken() -> None:
    writes = Writes()
    group = GroupCommit(writes, name="test")
    futures = [group.submit(item) for item in range(3)]
    assert writes.batches == []
    group.wake()
    assert [future.result(timeout=60) for future in futures] == ["wrote 0", "wrote 1", "wrote 2"]
    assert writes.batches == [[0, 1, 2]]


def test_what_comes_in_the_pause_after_a_write_shares_the_next() -> None:
    writes = Writes()
    group = GroupCommit(writes, name="test", pause=timedelta(seconds=1))
    assert group.commit(0, within=LONG) == "wrote 0"
    futures = []
    for item in (1, 2, 3):
        futures.append(group.submit(item))
        group.wake()
    assert [future.result(timeout=60) for future in futures] == ["wrote 1", "wrote 2", "wrote 3"]
    assert writes.batches == [[0], [1, 2, 3]]
