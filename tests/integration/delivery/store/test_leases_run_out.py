"""Leases that ran out, in the real store: what becomes of their emails, and by when that is decided."""

from datetime import timedelta

from delivery.domain.lanes import Lane
from delivery.domain.states import State
from tests.integration.delivery.store.conftest import UNTIL, Store
from tests.unit.delivery.builders import CHECKS, NOW, seconds

MINUTE = timedelta(minutes=1)
S = State


def _run_out(postroom: Store, *, limit: int = 100, **deadlines: timedelta) -> int:
    by_lane = {lane: deadlines.get(lane.value, 45 * MINUTE) for lane in Lane}
    now = UNTIL + seconds(1)
    happened = postroom.questions.run_out(before=now, now=now, deadlines=by_lane, policy=CHECKS, limit=limit)
    return len(happened)


def test_each_email_of_a_batch_gets_its_own_deadline(postroom: Store) -> None:
    postroom.insert("critical", lane=Lane.CRITICAL)
    postroom.insert("bulk", "more bulk", lane=Lane.BULK)
    postroom.insert("own", lane=Lane.BULK, unknown_deadline=seconds(90))
    postroom.claim("critical", "bulk", "more bulk", "own")
    assert _run_out(postroom, critical=seconds(30), bulk=2 * MINUTE) == 4
    deadlines = {
        email_id: postroom.document(email_id)["question"]["decide_at"]
        for email_id in ("critical", "bulk", "more bulk", "own")
    }
    assert deadlines == {
        "critical": NOW + seconds(30),
        "bulk": NOW + 2 * MINUTE,
        "more bulk": NOW + 2 * MINUTE,
        "own": NOW + seconds(90),
    }


def test_the_call_began_with_the_claim_and_ended_with_the_lease_at_the_latest(postroom: Store) -> None:
    postroom.insert("a", "b")
    postroom.claim("a", token="first", now=NOW)
    postroom.claim("b", token="second", now=NOW + seconds(20))
    _run_out(postroom)
    for email_id, called_at in [("a", NOW), ("b", NOW + seconds(20))]:
        question = postroom.document(email_id)["question"]
        assert (question["asked_from"], question["ended_at"]) == (called_at, UNTIL)
        assert question["check_at"] == called_at + MINUTE
        assert question["checks"] == 0


def test_what_ran_out_spent_an_attempt_and_says_why(postroom: Store) -> None:
    postroom.insert("a")
    postroom.claim("a")
    _run_out(postroom)
    document = postroom.document()
    assert (document["state"], document["attempts"]) == (S.UNCONFIRMED, 1)
    assert (document["last_error"], document["history"][-1]["state"]) == ("lease ran out", S.UNCONFIRMED)


def test_a_turn_takes_no_more_than_its_limit_and_the_next_takes_the_rest(postroom: Store) -> None:
    postroom.insert(*"abcde")
    postroom.claim(*"abcde")
    assert [_run_out(postroom, limit=3) for _ in range(3)] == [3, 2, 0]


def test_what_was_settled_while_the_reconciler_looked_stays_settled(postroom: Store) -> None:
    postroom.insert("a", "b")
    a, _ = postroom.claim("a", "b")
    postroom.settle(a, state=S.SUBMITTED)
    assert _run_out(postroom) == 1
    assert (postroom.state("a"), postroom.state("b")) == (S.SUBMITTED, S.UNCONFIRMED)


def test_running_out_again_changes_nothing(postroom: Store) -> None:
    postroom.insert("a")
    postroom.claim("a")
    _run_out(postroom)
    document = postroom.document()
    assert _run_out(postroom) == 0
    assert postroom.document() == document
