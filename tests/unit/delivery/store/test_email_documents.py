from dataclasses import replace

import pytest
from bson import BSON

from delivery.domain.emails import Attachment, Content
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedTo
from delivery.domain.states import State
from delivery.store.email_documents import (
    HISTORY_LENGTH,
    claimed_of,
    content_of,
    hash_recipient,
    history_entry,
    new_document,
    owed_document,
    owed_of,
    standing_of,
)
from tests.unit.delivery.builders import CONTENT, NOW, claimed, new_email, owed_email, seconds, standing

KEY = b"key"


def test_a_new_email_is_queued_and_owes_its_first_message() -> None:
    document = new_document(new_email("a", lane=Lane.BULK, priority=3), hash_key=KEY)
    assert standing_of(document) == standing(email_id="a", lane=Lane.BULK)
    assert owed_of(document) == owed_email(email_id="a", lane=Lane.BULK, priority=3)


def test_a_scheduled_email_waits_and_owes_nothing() -> None:
    later = NOW + seconds(60)
    document = new_document(new_email("a", send_at=later), hash_key=KEY)
    expected = standing(email_id="a", state=State.SCHEDULED, due_at=later, send_at=later)
    assert standing_of(document) == expected
    assert "owed" not in document


def test_a_claimed_email_is_what_was_accepted() -> None:
    content = replace(CONTENT, subject="Hi", text="plain")
    email = new_email("a", content=content, expires_at=NOW + seconds(60))
    document = {**new_document(email, hash_key=KEY), "claim": {"token": "token", "at": NOW}, "calls": 1}
    assert claimed_of(document) == claimed(email_id="a", content=content, expires_at=NOW + seconds(60))


RICH = replace(
    CONTENT,
    message="",
    html="<p>Hello</p>",
    to=("ben@example.com",),
    cc=("cat@example.com",),
    bcc=("dan@example.com",),
    reply_to=("desk@example.com", "shop@example.com"),
    headers=(("X-Order.Number", "4711"), ("X-Kind", "$invoice")),
    attachments=(
        Attachment(filename="a.pdf", size=3, content_type="application/pdf"),
        Attachment(filename="b", size=0),
    ),
    in_reply_to="01890a5d-ac96-774b-bcce-b302099a8057",
)


def test_all_that_an_email_may_have_is_read_as_it_was_written() -> None:
    document = new_document(new_email(content=RICH), hash_key=KEY)["content"]
    assert content_of(BSON.encode(document).decode()) == RICH


def test_every_recipient_of_several_can_be_found() -> None:
    document = new_document(new_email(content=RICH), hash_key=KEY)
    assert document["recipient_hashes"] == [hash_recipient(one, key=KEY) for one in RICH.recipients]
    assert document["recipient_hash"] == document["recipient_hashes"][0]
    assert "recipient_hashes" not in new_document(new_email(), hash_key=KEY)


@pytest.mark.parametrize("content", [CONTENT, replace(CONTENT, subject="Hi")])
def test_only_given_content_is_stored(content: Content) -> None:
    document = new_document(new_email("a", content=content), hash_key=KEY)
    assert None not in document["content"].values()
    assert {"expires_at", "content_hash"}.isdisjoint(document)


def test_an_email_from_amqp_keeps_the_hash_of_its_content() -> None:
    email = replace(new_email("a"), content_hash="abc")
    assert new_document(email, hash_key=KEY)["content_hash"] == "abc"


@pytest.mark.parametrize("to", [OwedTo.DEAD, OwedTo.HELD])
def test_a_letter_says_when_its_email_was_parked(to: OwedTo) -> None:
    document = new_document(new_email("a"), hash_key=KEY)
    document |= {
        "gen": 3,
        "owed": owed_document(to, gen=3, at=NOW),
        "updated_at": NOW + seconds(9),
        "reason": "why",
        "last_error": "HTTP 503",
    }
    owed = owed_of(document)
    assert (owed.gen, owed.to, owed.died_at) == (3, to, NOW + seconds(9))
    assert (owed.reason, owed.last_error) == ("why", "HTTP 503")


def test_a_recipients_hash_is_keyed_and_knows_an_address_however_it_is_written() -> None:
    assert hash_recipient("Ann@Example.com ", key=KEY) == hash_recipient("ann@example.com", key=KEY)
    assert hash_recipient("ann@example.com", key=KEY) != hash_recipient("ann@example.com", key=b"other")
    assert hash_recipient("ann@example.com", key=KEY) != hash_recipient("bob@example.com", key=KEY)


def test_a_history_keeps_its_newest_entries_only() -> None:
    pushed = history_entry(State.DEAD, at=NOW, detail="why")["history"]
    assert pushed == {
        "$each": [{"state": "dead", "at": NOW, "detail": "why"}],
        "$slice": -HISTORY_LENGTH,
    }
    assert "detail" not in history_entry(State.QUEUED, at=NOW)["history"]["$each"][0]
