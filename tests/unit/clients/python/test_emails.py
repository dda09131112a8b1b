import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from postroom_client import Attachment, Batch, Email, PlainEmail, Refused
from postroom_client.emails import Json, read_batch

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


def test_an_email_has_the_fields_that_were_given_and_no_others() -> None:
    email = Email(to="ann@example.com", sender="shop@example.com", text="Hello")
    assert email.as_json() == {"to": ["ann@example.com"], "from": "shop@example.com", "text": "Hello"}


def test_every_field_has_its_name_in_the_api() -> None:
    email = Email(
        to=["ann@example.com", "bob@example.com"],
        sender="shop@example.com",
        subject="Your order",
        text="Hello",
        html="<p>Hello</p>",
        cc="carol@example.com",
        bcc=("dave@example.com",),
        reply_to="help@example.com",
        headers={"X-Order": "4711"},
        attachments=[Attachment(filename="a.txt", content=b"abc", content_type="text/plain")],
        in_reply_to_id="an-id",
        scheduled_at=NOON,
        lane="bulk",
        priority=3,
        expires_at=NOON,
    )
    assert email.as_json() == {
        "to": ["ann@example.com", "bob@example.com"],
        "from": "shop@example.com",
        "subject": "Your order",
        "text": "Hello",
        "html": "<p>Hello</p>",
        "cc": ["carol@example.com"],
        "bcc": ["dave@example.com"],
        "replyTo": ["help@example.com"],
        "headers": {"X-Order": "4711"},
        "attachments": [{"filename": "a.txt", "content": "YWJj", "contentType": "text/plain"}],
        "inReplyToId": "an-id",
        "scheduledAt": "2030-01-31T12:00:00+00:00",
        "lane": "bulk",
        "priority": 3,
        "expires_at": "2030-01-31T12:00:00+00:00",
    }


def test_a_time_without_a_time_zone_is_refused() -> None:
    email = Email(to="ann@example.com", sender="shop@example.com", scheduled_at=NOON.replace(tzinfo=None))
    with pytest.raises(ValueError, match="time zone"):
        email.as_json()


def test_the_same_plain_email_is_always_the_same_bytes() -> None:
    there = timezone(timedelta(hours=2))
    ours = PlainEmail(sender="a@example.com", recipient="b@example.com", message="Hello", send_at=NOON)
    theirs = PlainEmail(
        message="Hello", recipient="b@example.com", sender="a@example.com", send_at=NOON.astimezone(there)
    )
    assert ours.as_bytes() == theirs.as_bytes()
    assert json.loads(ours.as_bytes()) == {
        "sender": "a@example.com",
        "recipient": "b@example.com",
        "message": "Hello",
        "send_at": "2030-01-31T12:00:00+00:00",
    }


def test_a_batch_tells_of_each_email_in_its_place() -> None:
    answer = {
        "data": [{"emailId": "first"}, {"emailId": "third"}],
        "errors": [{"index": 1, "message": "missing to field"}],
    }
    assert read_batch(answer, count=3) == Batch(
        email_ids=("first", None, "third"), refused=(Refused(index=1, message="missing to field"),)
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        {"data": [{"emailId": "1"}, {"emailId": "2"}, {"emailId": "3"}]},
        {"data": [{"emailId": "1"}, {"emailId": "2"}], "errors": [{"index": 0, "message": "no"}]},
        {"data": [{"emailId": "1"}], "errors": [{"index": 7, "message": "no"}]},
    ],
)
def test_ids_that_do_not_add_up_are_given_to_no_email(answer: Json) -> None:
    with pytest.raises(ValueError, match="add up"):
        read_batch(answer, count=2)
