from dataclasses import replace

import pytest

from delivery.domain.emails import Attachment, NewEmail
from delivery.domain.errors import AttachmentsMissing
from delivery.domain.inserted import Inserted
from delivery.store.attachments import MAX_WRITE, ORPHANED_AFTER, PIECE, Attachments
from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import CONTENT, NOW, new_email, seconds

LARGE = bytes(range(256)) * (2 * MAX_WRITE // 256) + b"end"
BODIES = (b"small", b"", LARGE)
LATER = NOW + ORPHANED_AFTER


@pytest.fixture
def attachments(postroom: Store) -> Attachments:
    return Attachments(postroom.db)


def with_attachments(email_id: str, *bodies: bytes) -> NewEmail:
    named = tuple(Attachment(filename=f"{number}.bin", size=len(body)) for number, body in enumerate(bodies))
    return new_email(email_id, content=replace(CONTENT, attachments=named), attached=bodies)


def test_what_was_attached_is_loaded_byte_by_byte(postroom: Store, attachments: Attachments) -> None:
    email = with_attachments("a", *BODIES)
    assert postroom.emails.insert([with_attachments("b", b"of another"), email]) == Inserted()
    claimed = postroom.claim_one("a")
    assert claimed.content == email.request.content
    assert attachments.load("a", claimed.content.attachments) == BODIES


def test_the_bytes_are_stored_apart_in_small_documents(postroom: Store) -> None:
    postroom.emails.insert([with_attachments("a", *BODIES)])
    assert "bytes" not in str(postroom.db.emails.find_one({"_id": "a"}))
    assert max(len(piece["bytes"]) for piece in postroom.db.attachments.find()) == PIECE


def test_an_email_never_goes_without_what_is_missing(postroom: Store, attachments: Attachments) -> None:
    email = with_attachments("a", *BODIES)
    postroom.emails.insert([email])
    postroom.db.attachments.delete_one({"_id": "a/2/1"})
    with pytest.raises(AttachmentsMissing):
        attachments.load("a", email.request.content.attachments)


def test_what_no_email_came_to_is_swept_after_its_time(postroom: Store, attachments: Attachments) -> None:
    orphan = with_attachments("orphan", b"never accepted")
    attachments.put([orphan])
    postroom.emails.insert([with_attachments("kept", b"accepted")])
    assert attachments.sweep(now=LATER - seconds(1), limit=100) == 0
    assert attachments.sweep(now=LATER, limit=100) == 2
    assert [piece["_id"] for piece in postroom.db.attachments.find()] == ["kept/0/0"]
    assert attachments.sweep(now=LATER, limit=100) == 0


def test_a_request_that_is_repeated_keeps_its_attachments(postroom: Store, attachments: Attachments) -> None:
    """Its first try died between the attachments and the email, long ago."""
    first = with_attachments("a", b"accepted late")
    attachments.put([first])
    again = replace(first, accepted_at=LATER)
    attachments.put([again])
    assert attachments.sweep(now=LATER, limit=100) == 0
    postroom.emails.insert([again])
    attachments.sweep(now=LATER + ORPHANED_AFTER, limit=100)
    assert attachments.load("a", first.request.content.attachments) == (b"accepted late",)


def test_one_call_to_the_store_never_takes_more_than_it_can_in_time(postroom: Store) -> None:
    """Two emails of three megabytes each, and an ordinary one between them, are there all the same."""
    large = replace(CONTENT, message="x" * (3 * 1024 * 1024))
    new = [new_email("a", content=large), new_email("b"), new_email("c", content=large)]
    assert postroom.emails.insert(new) == Inserted()
    assert len(postroom.claim("a", "b", "c")) == 3
