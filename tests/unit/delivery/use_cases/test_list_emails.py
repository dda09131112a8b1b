from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.errors import InvalidRequest
from delivery.domain.idempotency import KeyRecord, record_id
from delivery.domain.lanes import Lane
from delivery.domain.readings import EmailPage, EmailReading, Listed, Part, Wanted
from delivery.domain.states import State
from delivery.use_cases.list_emails import MOST_EXAMINED, list_emails
from tests.unit.delivery.builders import CONTENT, NOW, listed, seconds, standing

ANN = "ann@example.com"


def reading(
    number: int, *, ago: float, state: State = State.DELIVERED, lane: Lane = Lane.BULK
) -> EmailReading:
    return EmailReading(
        standing=standing(
            email_id=f"{number:06}", state=state, lane=lane, accepted_at=NOW - timedelta(seconds=ago)
        ),
        content=CONTENT,
    )


@dataclass
class Emails:
    """All of one tenant. examined: how many were given out."""

    there: list[EmailReading] = field(default_factory=list)
    keys: dict[str, KeyRecord] = field(default_factory=dict)
    examined: int = 0

    def listed(
        self, tenant_id: str, *, recipient: str | None, since: datetime, until: datetime, limit: int
    ) -> list[Listed]:
        found = listed(self.there, recipient=recipient, since=since, until=until, limit=limit)
        self.examined += len(found)
        return found

    def read(self, tenant_id: str, email_ids: Sequence[str]) -> list[EmailReading]:
        return [email for email in self.there if email.standing.email_id in email_ids]

    def find(self, record_ids: Iterable[str]) -> dict[str, KeyRecord]:
        return {one: self.keys[one] for one in record_ids if one in self.keys}

    def page(self, wanted: Wanted | None = None, **part: object) -> EmailPage:
        asked = Part(**{"limit": 3, **part})  # type: ignore[arg-type]
        return list_emails("default", wanted or Wanted(), asked, emails=self, keys=self, now=NOW)


def ids(page: EmailPage) -> list[str]:
    return [email.standing.email_id for email in page.emails]


def all_pages(emails: Emails, wanted: Wanted | None = None, *, limit: int = 3) -> list[list[str]]:
    pages = [emails.page(wanted, limit=limit)]
    while pages[-1].next is not None:
        pages.append(emails.page(wanted, limit=limit, behind=pages[-1].next))
    return [ids(page) for page in pages]


AGES = st.lists(st.sampled_from([0, 0.001, 1, 1.001, 5, 60, 3600, 86400, 86400.001, 10**7]), max_size=40)


@given(ages=AGES, limit=st.integers(1, 7), is_wanted=st.lists(st.booleans(), min_size=40, max_size=40))
def test_pages_have_every_wanted_email_once_from_the_newest_to_the_oldest(
    ages: list[float], limit: int, is_wanted: list[bool]
) -> None:
    lanes = [Lane.BULK if wanted else Lane.CRITICAL for wanted in is_wanted]
    emails = Emails([reading(number, ago=ago, lane=lanes[number]) for number, ago in enumerate(ages)])
    expected = sorted(
        (email for email in emails.there if email.standing.lane is Lane.BULK),
        key=lambda email: (email.standing.accepted_at, email.standing.email_id),
        reverse=True,
    )
    wanted = Wanted(lane=Lane.BULK)
    pages = all_pages(emails, wanted, limit=limit)
    assert [one for page in pages for one in page] == [email.standing.email_id for email in expected]
    assert all(len(page) == limit for page in pages[:-1])
    assert emails.page(wanted).count == len(expected)


def test_what_comes_in_meanwhile_moves_no_page_by_cursor() -> None:
    emails = Emails([reading(number, ago=100 - number) for number in range(9)])
    first = emails.page()
    emails.there += [reading(number, ago=0) for number in range(100, 110)]
    second = emails.page(behind=first.next)
    third = emails.page(behind=second.next)
    assert ids(first) + ids(second) + ids(third) == [f"{number:06}" for number in reversed(range(9))]
    assert third.next is None


def test_pages_by_number_follow_each_other() -> None:
    emails = Emails([reading(number, ago=100 - number) for number in range(7)])
    assert [ids(emails.page(page=number)) for number in (1, 2, 3, 4)] == [
        ["000006", "000005", "000004"],
        ["000003", "000002", "000001"],
        ["000000"],
        [],
    ]
    assert {emails.page(page=number).count for number in (1, 2, 3, 4)} == {7}


def test_pages_by_number_go_only_so_far() -> None:
    with pytest.raises(InvalidRequest, match="go on with cursor"):
        Emails().page(page=11, limit=100)


def test_where_little_is_wanted_of_many_a_page_is_short_and_tells_where_to_go_on() -> None:
    many = [reading(number, ago=20_000 - number) for number in range(2 * MOST_EXAMINED)]
    rare = replace(many[0], standing=replace(many[0].standing, state=State.HELD))
    emails = Emails([rare, *many[1:]])
    held = Wanted(states=frozenset({State.HELD}))
    first = emails.page(held)
    assert (ids(first), first.count) == ([], 0)
    assert emails.examined <= 2 * MOST_EXAMINED
    assert first.next is not None
    assert all_pages(emails, held) == [[], ["000000"]]


def test_more_in_one_instant_than_are_read_at_once_are_all_listed() -> None:
    emails = Emails([reading(number, ago=7) for number in range(1300)])
    pages = all_pages(emails, limit=100)
    assert [one for page in pages for one in page] == [f"{number:06}" for number in reversed(range(1300))]


def test_only_what_was_accepted_in_time_is_listed() -> None:
    emails = Emails([reading(number, ago=100 - number) for number in range(9)])
    wanted = Wanted(since=NOW - seconds(97), until=NOW - seconds(95))
    assert all_pages(emails, wanted) == [["000005", "000004", "000003"]]


def test_the_emails_of_a_key_are_found_while_it_is_known() -> None:
    emails = Emails([reading(number, ago=100 - number) for number in range(9)])
    key = record_id("default", "order-1")
    emails.keys[key] = KeyRecord(
        record_id=key,
        tenant_id="default",
        fingerprint="",
        email_ids=("000002", "000004", "gone"),
        created_at=NOW,
    )
    assert ids(emails.page(Wanted(key="order-1"))) == ["000004", "000002"]
    assert ids(emails.page(Wanted(key="order-1", lane=Lane.CRITICAL))) == []
    assert ids(emails.page(Wanted(key="order-1", recipient="ANN@example.com"))) == ["000004", "000002"]
    assert ids(emails.page(Wanted(key="order-1", recipient="bob@example.com"))) == []
    assert ids(emails.page(Wanted(key="another"))) == []
    first = emails.page(Wanted(key="order-1"), limit=1)
    assert (ids(first), first.count) == (["000004"], 2)
    assert ids(emails.page(Wanted(key="order-1"), limit=1, behind=first.next)) == ["000002"]


def test_the_emails_of_a_recipient_are_listed() -> None:
    emails = Emails([reading(number, ago=100 - number) for number in range(9)])
    emails.there[4] = replace(emails.there[4], content=replace(CONTENT, cc=("bob@example.com",)))
    assert ids(emails.page(Wanted(recipient="bob@example.com"))) == ["000004"]
    assert emails.page(Wanted(recipient="ann@example.com")).count == 9
