from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from delivery.domain.emails import NewEmail
from delivery.domain.errors import StoreOutcomeUnknown
from delivery.domain.inserted import Inserted
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, OwedTo
from delivery.use_cases.accept_emails import accept_emails
from tests.unit.delivery.builders import NOW, new_email, owed_email, seconds


class StoredEmails:
    def __init__(self) -> None:
        self.stored: dict[str, NewEmail] = {}
        self.debts: dict[str, OwedEmail] = {}
        self.refused: frozenset[str] = frozenset()
        self.answers = True

    def insert(self, new: Sequence[NewEmail]) -> Inserted:
        known = frozenset(email.email_id for email in new) & self.stored.keys()
        for email in new:
            if email.email_id not in known | self.refused:
                self.stored[email.email_id] = email
                self.debts[email.email_id] = owed_email(email_id=email.email_id)
        if not self.answers:
            raise StoreOutcomeUnknown("no answer")
        return Inserted(known, self.refused)

    def owing(self, email_ids: Iterable[str]) -> list[OwedEmail]:
        return [self.debts[email_id] for email_id in email_ids if email_id in self.debts]


def test_what_was_stored_is_handed_over_as_a_message_to_its_lane() -> None:
    handed: list[OwedEmail] = []
    new = [new_email("a", lane=Lane.BULK, priority=3), new_email("b")]
    assert accept_emails(new, emails=StoredEmails(), hand_over=handed.extend) == Inserted()
    assert handed == [
        owed_email(email_id="a", lane=Lane.BULK, priority=3),
        owed_email(email_id="b"),
    ]
    assert {owed.to for owed in handed} == {OwedTo.LANE}


def test_nothing_is_handed_over_before_it_is_stored() -> None:
    handed: list[OwedEmail] = []
    emails = StoredEmails()
    emails.answers = False
    with pytest.raises(StoreOutcomeUnknown):
        accept_emails([new_email()], emails=emails, hand_over=handed.extend)
    assert handed == []


def test_what_the_store_did_not_take_is_not_handed_over_and_holds_up_no_other() -> None:
    handed: list[OwedEmail] = []
    emails = StoredEmails()
    emails.refused = frozenset("a")
    new = [new_email("a"), new_email("b")]
    inserted = accept_emails(new, emails=emails, hand_over=handed.extend)
    assert inserted.failed == {"a"}
    assert [owed.email_id for owed in handed] == ["b"]


def test_repeated_after_an_unknown_outcome_it_hands_over_what_the_first_one_stored() -> None:
    handed: list[OwedEmail] = []
    emails = StoredEmails()
    emails.answers = False
    with pytest.raises(StoreOutcomeUnknown):
        accept_emails([new_email("a")], emails=emails, hand_over=handed.extend)
    emails.answers = True
    inserted = accept_emails([new_email("a"), new_email("b")], emails=emails, hand_over=handed.extend)
    assert inserted.known == {"a"}
    assert {owed.email_id for owed in handed} == {"a", "b"}


def test_a_resend_of_what_was_published_long_ago_publishes_nothing() -> None:
    handed: list[OwedEmail] = []
    emails = StoredEmails()
    accept_emails([new_email("a")], emails=emails, hand_over=lambda _: None)
    emails.debts.clear()
    inserted = accept_emails([new_email("a")], emails=emails, hand_over=handed.extend)
    assert inserted.known == {"a"}
    assert handed == []


def test_a_resend_changes_nothing_of_what_is_stored() -> None:
    emails = StoredEmails()
    first = new_email("a")
    accept_emails([first], emails=emails, hand_over=lambda _: None)
    accept_emails([replace(first, content_hash="other")], emails=emails, hand_over=lambda _: None)
    assert emails.stored["a"] is first


def test_a_scheduled_email_is_stored_and_owes_nothing_yet() -> None:
    handed: list[OwedEmail] = []
    emails = StoredEmails()
    new = [new_email("a", send_at=NOW + seconds(60)), new_email("b")]
    accept_emails(new, emails=emails, hand_over=handed.extend)
    assert emails.stored.keys() == {"a", "b"}
    assert [owed.email_id for owed in handed] == ["b"]
