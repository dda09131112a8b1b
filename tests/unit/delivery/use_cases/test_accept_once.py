from collections.abc import Iterable, Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.emails import NewEmail, Standing
from delivery.domain.errors import KeyInFlight, KeyReused, NotStored, PostroomError, StoreUnavailable
from delivery.domain.idempotency import KEPT, PATIENCE, KeyRecord, RefusedItem
from delivery.domain.inserted import Inserted
from delivery.domain.owed import OwedEmail
from delivery.use_cases.accept_once import AcceptOnce, KeyedRequest, Once
from tests.unit.delivery.builders import NOW, new_email, standing


class World:
    """The two collections, what was handed over, and a clock.

    dies_after: with so many more calls to the store the process is dead.
    """

    def __init__(self) -> None:
        self.records: dict[str, KeyRecord] = {}
        self.emails: dict[str, NewEmail] = {}
        self.handed_over: list[str] = []
        self.not_taken: set[str] = set()
        self.now = NOW
        self.dies_after: int | None = None

    def step(self) -> None:
        if self.dies_after is not None:
            if self.dies_after == 0:
                raise StoreUnavailable("died")
            self.dies_after -= 1

    def accept(self, *requests: KeyedRequest) -> list[Once | PostroomError]:
        accept_once = AcceptOnce(
            keys=Keys(self), emails=Emails(self), hand_over=self.hand_over, clock=lambda: self.now
        )
        return accept_once(requests)

    def hand_over(self, owed: Sequence[OwedEmail]) -> None:
        self.handed_over += [debt.email_id for debt in owed]

    def request(
        self, *ids: str, key: str = "key", body: str = "body", refused: tuple[RefusedItem, ...] = ()
    ) -> KeyedRequest:
        record = KeyRecord(
            record_id=key,
            tenant_id="default",
            fingerprint=body,
            email_ids=ids,
            created_at=self.now,
            refused=refused,
        )
        return KeyedRequest(record=record, emails=tuple(new_email(email_id) for email_id in ids))


class Keys:
    def __init__(self, world: World) -> None:
        self.world = world

    def insert(self, records: Sequence[KeyRecord]) -> Inserted:
        self.world.step()
        assert len({record.record_id for record in records}) == len(records)
        failed = frozenset(r.record_id for r in records) & self.world.not_taken
        known = frozenset(r.record_id for r in records) & self.world.records.keys()
        self.world.records |= {r.record_id: r for r in records if r.record_id not in known | failed}
        return Inserted(frozenset(known), frozenset(failed))

    def find(self, record_ids: Iterable[str]) -> dict[str, KeyRecord]:
        self.world.step()
        return {i: self.world.records[i] for i in record_ids if i in self.world.records}

    def replace(self, old: KeyRecord, new: KeyRecord) -> bool:
        self.world.step()
        if self.world.records.get(old.record_id) != old:
            return False
        self.world.records[old.record_id] = new
        return True


class Emails:
    def __init__(self, world: World) -> None:
        self.world = world

    def insert(self, new: Sequence[NewEmail]) -> Inserted:
        self.world.step()
        ids = frozenset(email.email_id for email in new)
        known, failed = ids & self.world.emails.keys(), ids & self.world.not_taken
        self.world.emails |= {e.email_id: e for e in new if e.email_id not in known | failed}
        return Inserted(frozenset(known), frozenset(failed))

    def owing(self, email_ids: Iterable[str]) -> list[OwedEmail]:
        return []

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        self.world.step()
        return {i: standing(email_id=i) for i in email_ids if i in self.world.emails}


def kinds(answers: Iterable[Once | PostroomError]) -> list[object]:
    return [answer if isinstance(answer, Once) else type(answer) for answer in answers]


def test_the_first_request_is_accepted_and_the_second_is_answered_alike() -> None:
    world = World()
    assert world.accept(world.request("1", "2")) == [Once(("1", "2"), is_replay=False)]
    assert world.accept(world.request("3", "4")) == [Once(("1", "2"), is_replay=True)]
    assert list(world.emails) == world.handed_over == ["1", "2"]


def test_another_body_is_refused_and_sends_nothing() -> None:
    world = World()
    world.accept(world.request("1"))
    assert kinds(world.accept(world.request("2", body="other"))) == [KeyReused]
    assert list(world.emails) == ["1"]


def test_requests_that_come_together_are_one_email() -> None:
    world = World()
    answers = world.accept(
        world.request("1"), world.request("2"), world.request("3", body="other"), world.request("4", key="b")
    )
    assert kinds(answers) == [Once(("1",), False), Once(("1",), True), KeyReused, Once(("4",), False)]
    assert sorted(world.emails) == ["1", "4"]


def test_a_request_whose_first_is_still_at_it_is_told_to_wait() -> None:
    world = World()
    world.dies_after = 1
    with pytest.raises(StoreUnavailable):
        world.accept(world.request("1"))
    world.dies_after = None
    assert kinds(world.accept(world.request("2"))) == [KeyInFlight]
    assert not world.emails


def test_after_a_second_it_finishes_what_the_first_began_under_the_same_ids() -> None:
    world = World()
    world.dies_after = 1
    with pytest.raises(StoreUnavailable):
        world.accept(world.request("1", "2"))
    world.dies_after = None
    world.now += PATIENCE
    assert world.accept(world.request("3", "4"), world.request("5", "6")) == [Once(("1", "2"), True)] * 2
    assert list(world.emails) == ["1", "2"]


def test_a_batch_is_answered_with_what_was_refused_at_first() -> None:
    world, at_first = World(), (RefusedItem(1, "missing to field"),)
    assert world.accept(world.request("1", "2", refused=at_first)) == [Once(("1", "2"), False, at_first)]
    later = (*at_first, RefusedItem(2, "expires_at is in the past"))
    assert world.accept(world.request("3", refused=later)) == [Once(("1", "2"), True, at_first)]


def test_a_batch_that_no_longer_lines_up_with_what_was_begun_is_refused_not_shifted() -> None:
    world = World()
    world.dies_after = 1
    with pytest.raises(StoreUnavailable):
        world.accept(world.request("1", "2"))
    world.dies_after = None
    world.now += PATIENCE
    late = world.request("3", refused=(RefusedItem(0, "expires_at is in the past"),))
    assert kinds(world.accept(late)) == [KeyReused]
    assert not world.emails
    assert world.accept(world.request("4", "5")) == [Once(("1", "2"), is_replay=True)]


def test_what_was_answered_can_be_looked_up_and_nothing_else() -> None:
    world = World()
    accept_once = AcceptOnce(
        keys=Keys(world), emails=Emails(world), hand_over=world.hand_over, clock=lambda: world.now
    )
    world.accept(world.request("1"))
    assert accept_once.answered("key", fingerprint="body") == Once(("1",), is_replay=True)
    assert accept_once.answered("key", fingerprint="other") is None
    assert accept_once.answered("other", fingerprint="body") is None
    world.emails.clear()
    assert accept_once.answered("key", fingerprint="body") is None


def test_a_key_can_be_used_again_after_a_day() -> None:
    world = World()
    world.accept(world.request("1"))
    world.now += KEPT
    answers = world.accept(world.request("2", body="other"), world.request("3", body="other"))
    assert kinds(answers) == [Once(("2",), False), KeyInFlight]
    assert sorted(world.emails) == ["1", "2"]


@pytest.mark.parametrize("not_taken", ["key", "1"])
def test_what_the_store_does_not_take_fails_for_its_caller_alone(not_taken: str) -> None:
    world = World()
    world.not_taken = {not_taken}
    answers = world.accept(world.request("1"), world.request("2", key="b"))
    assert kinds(answers) == [NotStored, Once(("2",), False)]


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), min_size=1, max_size=4),
            st.none() | st.integers(0, 4),
            st.sampled_from([timedelta(0), PATIENCE]),
        ),
        max_size=12,
    )
)
def test_whoever_dies_where_there_is_at_most_one_email_a_key(
    calls: list[tuple[list[tuple[str, str]], int | None, timedelta]],
) -> None:
    world, number = World(), 0
    answered: dict[str, set[tuple[str, ...]]] = {}
    for batch, dies_after, later in calls:
        requests = []
        for key, body in batch:
            number += 1
            requests.append(world.request(f"{key}{number}", key=key, body=body))
        world.dies_after, world.now = dies_after, world.now + later
        try:
            answers = world.accept(*requests)
        except StoreUnavailable:
            continue
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, Once):
                answered.setdefault(request.record.record_id, set()).add(answer.email_ids)
    per_key = [email_id[0] for email_id in world.emails]
    assert len(per_key) == len(set(per_key))
    assert all(len(ids) == 1 for ids in answered.values())
    assert {i for ids in answered.values() for (i,) in ids} <= world.emails.keys()
