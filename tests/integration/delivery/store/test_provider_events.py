"""Provider events and what they do to emails, against the real store."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from delivery.domain.provider_events import ProviderEvent
from delivery.domain.reports import Report
from delivery.domain.states import State
from delivery.use_cases.apply_provider_events import apply_provider_events
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import CONTENT, NOW, seconds, standing

LATER = NOW + seconds(60)


def event(
    name: str, *, email_id: str = "a", report: Report = Report.DELIVERED, recipient: str | None = None
) -> ProviderEvent:
    return ProviderEvent(
        provider="p",
        provider_event_id=name,
        email_id=email_id,
        report=report,
        raw="{}",
        recipient=recipient,
    )


def _pending(postroom: Store, *names: str) -> list[str]:
    return [pending.event_id for pending in postroom.events.pending(f"p:{name}" for name in names)]


def test_a_new_event_is_pending_until_it_is_applied(postroom: Store) -> None:
    postroom.events.insert([event("1"), event("2")], now=NOW)
    (first, _) = postroom.events.pending(["p:1", "p:2", "p:3"])
    assert (first.event_id, first.email_id) == ("p:1", "a")
    assert (first.report, first.received_at) == (Report.DELIVERED, NOW)
    postroom.events.record_effects({"delivered": ["p:1"]}, now=LATER)
    assert _pending(postroom, "1", "2") == ["p:2"]


def test_what_was_reported_is_kept_for_good_with_what_it_did(postroom: Store) -> None:
    postroom.events.insert([event("1")], now=NOW)
    postroom.events.record_effects({"delivered": ["p:1"]}, now=LATER)
    (kept,) = postroom.db.provider_events.find()
    assert (kept["raw"], kept["effect"], kept["applied_at"]) == ("{}", "delivered", LATER)


def test_an_event_that_cant_be_stored_spoils_no_other(postroom: Store) -> None:
    postroom.db.command("collMod", "provider_events", validator={"_id": {"$ne": "p:2"}})
    inserted = postroom.events.insert([event("1"), event("2"), event("3")], now=NOW)
    assert inserted.failed == {"p:2"}
    assert _pending(postroom, "1", "2", "3") == ["p:1", "p:3"]


def test_a_repeated_event_is_kept_once_and_is_not_pending_again(postroom: Store) -> None:
    postroom.events.insert([event("1"), event("1")], now=NOW)
    postroom.events.record_effects({"delivered": ["p:1"]}, now=NOW)
    postroom.events.insert([event("1"), event("2")], now=LATER)
    assert postroom.db.provider_events.count_documents({}) == 2
    assert _pending(postroom, "1", "2") == ["p:2"]


def test_an_effect_is_recorded_once(postroom: Store) -> None:
    postroom.events.insert([event("1")], now=NOW)
    postroom.events.record_effects({"delivered": ["p:1"]}, now=NOW)
    postroom.events.record_effects({"no_change": ["p:1"]}, now=LATER)
    (kept,) = postroom.db.provider_events.find()
    assert (kept["effect"], kept["applied_at"]) == ("delivered", NOW)


def test_pending_events_come_oldest_first(postroom: Store) -> None:
    for name, age in [("1", 1.0), ("2", 3.0), ("3", 2.0)]:
        postroom.events.insert([event(name)], now=NOW - seconds(age))
    assert _pending(postroom, "1", "2", "3") == ["p:2", "p:3", "p:1"]


def test_overdue_are_the_oldest_that_were_not_applied(postroom: Store) -> None:
    for name, age in [("1", 1.0), ("2", 4.0), ("3", 2.0), ("4", 3.0)]:
        postroom.events.insert([event(name)], now=NOW - seconds(age))
    postroom.events.record_effects({"delivered": ["p:2"]}, now=NOW)
    overdue = postroom.events.overdue(older_than=NOW - seconds(2), limit=9)
    assert [pending.event_id for pending in overdue] == ["p:4", "p:3"]
    assert len(postroom.events.overdue(older_than=NOW, limit=1)) == 1


def test_a_report_moves_the_email_and_owes_nothing(postroom: Store) -> None:
    postroom.insert("a")
    postroom.change("a", calls=1)
    assert postroom.reported.apply([(standing(email_id="a", calls=1), State.DELIVERED)], now=LATER)
    document = postroom.document()
    assert document["state"] == State.DELIVERED
    assert postroom.emails.owing(["a"]) == []
    assert [entry["detail"] for entry in document["history"]] == ["reported by the provider"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.FAILED, "the provider reported it failed"),
        (State.REJECTED, "the provider reported it rejected"),
        (State.BOUNCED, "the provider reported it bounced"),
        (State.DELIVERED, None),
        (State.COMPLAINED, None),
    ],
)
def test_a_reported_failure_has_a_reason_and_no_other_report_has(
    postroom: Store, state: State, reason: str | None
) -> None:
    postroom.insert("a")
    postroom.change("a", calls=1, reason="attempts_exhausted")
    assert postroom.reported.apply([(standing(email_id="a", calls=1), state)], now=LATER)
    found = postroom.emails.standings(["a"])["a"]
    assert (found.state, found.reason) == (state, reason)


def test_a_report_is_written_only_on_what_it_was_decided_for(postroom: Store) -> None:
    postroom.insert("a", "b", "c")
    postroom.change("b", state=State.SUBMITTING, calls=1)
    postroom.change("c", calls=2)
    changes = [(standing(email_id=name), State.DELIVERED) for name in "abc"]
    assert not postroom.reported.apply(changes, now=LATER)
    assert [postroom.state(name) for name in "abc"] == [State.DELIVERED, State.SUBMITTING, State.QUEUED]


def test_events_are_applied_and_applying_them_again_does_no_harm(postroom: Store) -> None:
    postroom.insert("a", "b")
    postroom.settle(*postroom.claim("a", "b"), state=State.SUBMITTED)
    postroom.events.insert(
        [event("1", report=Report.FAILED), event("2"), event("3", email_id="b"), event("4", email_id="x")],
        now=NOW,
    )
    pending = postroom.events.pending(["p:1", "p:2", "p:3", "p:4"])
    for _ in range(2):
        apply_provider_events(
            pending, events=postroom.events, emails=postroom.emails, reported=postroom.reported, now=LATER
        )
        assert [postroom.state(name) for name in "ab"] == [State.DELIVERED, State.DELIVERED]
    assert _pending(postroom, "1", "2", "3", "4") == []
    effects = {kept["_id"]: kept["effect"] for kept in postroom.db.provider_events.find()}
    assert effects == {
        "p:1": "failed",
        "p:2": "delivered",
        "p:3": "delivered",
        "p:4": "unknown_email",
    }


def test_what_is_reported_of_several_recipients_is_noted_of_each(postroom: Store) -> None:
    """Two processes have a failure each at the same time: only both together are the email's."""
    to_two = replace(CONTENT, to=("Ben@example.com",))
    postroom.insert("a", content=to_two)
    postroom.claim("a")
    postroom.change("a", state=State.SUBMITTED.value)
    names = {"1": CONTENT.recipient, "2": "ben@example.com", "3": "stranger@example.com"}
    events = [event(name, report=Report.FAILED, recipient=who) for name, who in names.items()]
    postroom.events.insert(events, now=NOW)

    def apply(*names: str) -> None:
        apply_provider_events(
            postroom.events.pending(f"p:{name}" for name in names),
            events=postroom.events,
            emails=postroom.emails,
            reported=postroom.reported,
            now=LATER,
        )

    with ThreadPoolExecutor(3) as processes:
        list(processes.map(apply, names))
    apply("1", "2", "3")
    stands = postroom.emails.standings(["a"])["a"]
    assert stands.state is State.FAILED
    assert sorted(item.recipient for item in stands.reported) == sorted(stands.recipients)
    effects = [kept["effect"] for kept in postroom.db.provider_events.find().sort("_id", 1)]
    assert sorted(effects[:2]) == ["failed", "recipient_failed"]
    assert effects[2] == "unknown_recipient"
    assert "example.com" not in str(list(postroom.db.provider_events.find()))
