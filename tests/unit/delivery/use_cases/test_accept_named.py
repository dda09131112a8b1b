from collections.abc import Iterable, Sequence
from dataclasses import replace

from delivery.domain.emails import NewEmail
from delivery.domain.errors import IdReused, NotStored
from delivery.domain.inserted import Inserted
from delivery.domain.owed import OwedEmail
from delivery.use_cases.accept_named import accept_named
from tests.unit.delivery.builders import new_email


class StoredEmails:
    def __init__(self) -> None:
        self.stored: dict[str, NewEmail] = {}
        self.refused: frozenset[str] = frozenset()

    def insert(self, new: Sequence[NewEmail]) -> Inserted:
        known = frozenset(email.email_id for email in new) & self.stored.keys()
        self.stored |= {e.email_id: e for e in new if e.email_id not in known | self.refused}
        return Inserted(known, self.refused)

    def owing(self, email_ids: Iterable[str]) -> list[OwedEmail]:
        return []

    def content_hashes(self, email_ids: Iterable[str]) -> dict[str, str]:
        return {email_id: self.stored[email_id].content_hash or "" for email_id in email_ids}


def named(email_id: str, content: str = "one") -> NewEmail:
    return replace(new_email(email_id), content_hash=content)


def test_the_first_is_new_and_every_later_one_known() -> None:
    store, handed = StoredEmails(), list[OwedEmail]()
    assert accept_named([named("a"), named("b")], store=store, hand_over=handed.extend) == [False, False]
    assert accept_named([named("a")], store=store, hand_over=handed.extend) == [True]
    assert [owed.email_id for owed in handed] == ["a", "b"]


def test_of_two_in_one_batch_one_is_the_first() -> None:
    store, handed = StoredEmails(), list[OwedEmail]()
    assert accept_named([named("a"), named("a")], store=store, hand_over=handed.extend) == [False, True]
    assert [owed.email_id for owed in handed] == ["a"]


def test_other_content_under_a_used_id_is_refused_and_the_first_stays() -> None:
    store = StoredEmails()
    answers = accept_named([named("a"), named("a", "other")], store=store, hand_over=lambda _: None)
    assert answers[0] is False
    assert isinstance(answers[1], IdReused)
    (again,) = accept_named([named("a", "other")], store=store, hand_over=lambda _: None)
    assert isinstance(again, IdReused)
    assert store.stored["a"].content_hash == "one"


def test_what_the_store_did_not_take_spoils_no_other() -> None:
    store = StoredEmails()
    store.refused = frozenset("a")
    failed, accepted = accept_named([named("a"), named("b")], store=store, hand_over=lambda _: None)
    assert isinstance(failed, NotStored)
    assert accepted is False
