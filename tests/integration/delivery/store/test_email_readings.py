"""Emails as their tenants read them."""

from dataclasses import replace

from delivery.domain.emails import Attachment
from delivery.domain.readings import Moment, Part, Wanted
from delivery.domain.states import State
from delivery.store.idempotency_keys import IdempotencyKeys
from delivery.use_cases.list_emails import list_emails
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import CONTENT, NOW, seconds

RICH = replace(
    CONTENT,
    subject="Hi",
    html="<p>Hello</p>",
    to=("bob@example.com",),
    bcc=("eve@example.com",),
    headers=(("X-Order", "1"),),
    attachments=(Attachment(filename="a.pdf", size=3),),
)


def listed(
    postroom: Store, recipient: str | None = None, *, since: float = -60, until: float = 60, limit: int = 10
) -> list[str]:
    found = postroom.readings.listed(
        "default",
        recipient=recipient,
        since=NOW + seconds(since),
        until=NOW + seconds(until),
        limit=limit,
    )
    return [email.place.email_id for email in found if email.has_recipient]


def accept(postroom: Store, **at: float) -> None:
    for email_id, when in at.items():
        postroom.insert(email_id)
        postroom.change(email_id, accepted_at=NOW + seconds(when))


def test_an_email_is_read_whole_with_what_happened_to_it(postroom: Store) -> None:
    postroom.insert("a", content=RICH)
    postroom.settle(postroom.claim_one("a"), state=State.SUBMITTED)
    found = postroom.readings.get("default", "a")
    assert found is not None
    assert found.content == RICH
    assert (found.standing.state, found.standing.attempts) == (State.SUBMITTED, 1)
    assert found.history == (Moment(state=State.SUBMITTED, at=NOW + seconds(1)),)


def test_another_tenants_email_is_not_read(postroom: Store) -> None:
    postroom.insert("a")
    assert postroom.readings.get("another", "a") is None
    assert postroom.readings.read("another", ["a"]) == []
    assert (
        postroom.readings.listed(
            "another", recipient=None, since=NOW - seconds(9), until=NOW + seconds(9), limit=9
        )
        == []
    )


def test_a_list_has_no_texts(postroom: Store) -> None:
    postroom.insert("a", content=RICH)
    (found,) = postroom.readings.read("default", ["a", "unknown"])
    assert found.content == replace(RICH, message="", html=None, headers=())


def test_the_newest_come_first_within_the_time_asked_for(postroom: Store) -> None:
    accept(postroom, old=-50, b=0, a=0, newest=50)
    assert listed(postroom) == ["newest", "b", "a", "old"]
    assert listed(postroom, since=0, until=0) == ["b", "a"]
    assert listed(postroom, limit=2) == ["newest", "b"]


def test_a_recipient_is_found_whichever_of_several_it_is(postroom: Store) -> None:
    postroom.insert("plain")
    postroom.insert("rich", content=RICH)
    assert listed(postroom, "Ann@Example.com ") == ["rich", "plain"]
    assert listed(postroom, "bob@example.com") == ["rich"]
    assert listed(postroom, "eve@example.com") == ["rich"]
    assert listed(postroom, "nobody@example.com") == []


def test_pages_by_cursor_have_each_email_once_however_close_they_came(postroom: Store) -> None:
    accept(postroom, **{f"e{number:02}": number // 5 * 40 for number in range(30)})
    keys = IdempotencyKeys(postroom.db)
    pages, place = [], None
    while True:
        part = Part(limit=4, behind=place)
        page = list_emails(
            "default", Wanted(), part, emails=postroom.readings, keys=keys, now=NOW + seconds(1000)
        )
        pages.append([email.standing.email_id for email in page.emails])
        place = page.next
        if place is None:
            break
    assert [email_id for page in pages for email_id in page] == [f"e{n:02}" for n in reversed(range(30))]
    assert [len(page) for page in pages] == [4, 4, 4, 4, 4, 4, 4, 2]
