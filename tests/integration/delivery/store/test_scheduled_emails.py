"""Emails that wait for their time in the store, and those that are taken back."""

from dataclasses import replace

import pytest

from delivery.domain.emails import Standing
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from tests.integration.delivery.store.conftest import Store, ids
from tests.unit.delivery.builders import NOW, owed_email, seconds

LATER = NOW + seconds(60)
LATEST = NOW + seconds(120)
REASON = "canceled"


def seen(postroom: Store, email_id: str = "a") -> Standing:
    standing = postroom.emails.get("default", email_id)
    assert standing is not None
    return standing


def due(postroom: Store, lane: Lane = Lane.TRANSACTIONAL, *, limit: int = 10) -> list[str]:
    return [email.email_id for email in postroom.scheduled.due(lane, now=LATER, limit=limit)]


def test_a_scheduled_email_stands_scheduled_and_owes_nothing(postroom: Store) -> None:
    postroom.insert("a", send_at=LATER)
    standing = seen(postroom)
    assert (standing.state, standing.due_at, standing.send_at) == (State.SCHEDULED, LATER, LATER)
    assert postroom.emails.owing(["a"]) == []


def test_only_what_is_due_of_a_lane_comes_in_the_order_of_its_time(postroom: Store) -> None:
    postroom.insert("last", send_at=LATER)
    postroom.insert("first", send_at=LATER - seconds(2))
    postroom.insert("second", send_at=LATER - seconds(1))
    postroom.insert("not yet", send_at=LATEST)
    postroom.insert("another lane", lane=Lane.BULK, send_at=LATER)
    postroom.insert("at once")
    assert due(postroom) == ["first", "second", "last"]
    assert due(postroom, limit=2) == ["first", "second"]
    assert due(postroom, Lane.BULK) == ["another lane"]


def test_what_is_queued_owes_its_first_message_in_the_order_asked_for(postroom: Store) -> None:
    postroom.insert("a", "b", send_at=LATER)
    owed = postroom.scheduled.queue(["b", "a"], now=LATEST)
    assert owed == [owed_email(email_id="b", due_at=LATER), owed_email(email_id="a", due_at=LATER)]
    document = postroom.document()
    assert (document["state"], document["waiting_since"]) == ("queued", LATEST)
    assert "scheduled" not in document
    assert due(postroom) == []


def test_queued_once_more_it_owes_the_same_and_a_worker_may_claim_it(postroom: Store) -> None:
    postroom.insert("a", send_at=LATER)
    once, again = (postroom.scheduled.queue(["a"], now=LATER) for _ in range(2))
    assert once == again
    assert ids(postroom.claim("a", now=LATER)) == ["a"]
    assert postroom.scheduled.queue(["a"], now=LATER) == []
    assert postroom.state() is State.SUBMITTING


def test_what_was_rescheduled_or_canceled_since_is_not_queued(postroom: Store) -> None:
    postroom.insert("rescheduled", "canceled", "sent", send_at=LATER)
    found = due(postroom)
    postroom.scheduled.reschedule(seen(postroom, "rescheduled"), send_at=LATEST, now=NOW)
    postroom.scheduled.cancel(seen(postroom, "canceled"), reason=REASON, now=NOW)
    assert ids(postroom.scheduled.queue(found, now=LATER)) == ["sent"]


def test_nobody_claims_what_is_scheduled(postroom: Store) -> None:
    postroom.insert("a", send_at=LATER)
    assert postroom.claim("a", now=LATEST) == []


def test_only_what_has_expired_by_its_time_expires(postroom: Store) -> None:
    postroom.insert("over", send_at=LATER, expires_at=LATER + seconds(1))
    postroom.insert("in time", send_at=LATER, expires_at=LATEST + seconds(1))
    postroom.insert("for ever", send_at=LATER)
    assert postroom.scheduled.expire(["over", "in time", "for ever"], now=LATEST) == ["over"]
    assert postroom.document("over")["reason"] == "expired before it was sent"
    assert due(postroom) == ["for ever", "in time"] or due(postroom) == ["in time", "for ever"]


@pytest.mark.parametrize("state", [State.SCHEDULED, State.QUEUED, State.RETRYING])
def test_what_waits_can_be_canceled_and_owes_nothing_then(postroom: Store, state: State) -> None:
    postroom.insert("a", send_at=LATER if state is State.SCHEDULED else None)
    postroom.change("a", state=state.value)
    assert postroom.scheduled.cancel(seen(postroom), reason=REASON, now=NOW)
    document = postroom.document()
    assert (document["state"], document["reason"]) == ("canceled", REASON)
    assert not {"owed", "published", "scheduled"} & document.keys()
    assert document["history"][-1]["state"] == "canceled"
    assert postroom.claim("a") == []
    assert due(postroom) == []


def test_who_claimed_it_in_between_wins(postroom: Store) -> None:
    postroom.insert("a")
    before = seen(postroom)
    postroom.claim_one("a")
    assert not postroom.scheduled.cancel(before, reason=REASON, now=NOW)
    assert postroom.state() is State.SUBMITTING


def test_an_email_that_the_provider_may_have_is_never_canceled(postroom: Store) -> None:
    postroom.insert("a")
    before = seen(postroom)
    postroom.change("a", may_be_sent=True)
    assert not postroom.scheduled.cancel(before, reason=REASON, now=NOW)


def test_another_tenants_email_is_neither_canceled_nor_rescheduled(postroom: Store) -> None:
    postroom.insert("a", send_at=LATER)
    theirs = replace(seen(postroom), tenant_id="another")
    assert not postroom.scheduled.cancel(theirs, reason=REASON, now=NOW)
    assert not postroom.scheduled.reschedule(theirs, send_at=LATEST, now=NOW)


def test_a_rescheduled_email_is_due_at_its_new_time_alone(postroom: Store) -> None:
    postroom.insert("a", send_at=LATER)
    assert postroom.scheduled.reschedule(seen(postroom), send_at=LATEST, now=NOW)
    assert due(postroom) == []
    assert ids(postroom.scheduled.due(Lane.TRANSACTIONAL, now=LATEST, limit=10)) == ["a"]
    assert (seen(postroom).due_at, seen(postroom).send_at) == (LATEST, LATEST)
