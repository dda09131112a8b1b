import re
from dataclasses import replace
from pathlib import Path

import pytest

from delivery.contract.cursors import CursorField, write_cursor
from delivery.contract.email_answers import (
    STATUSES,
    EmailListSchema,
    EmailReadingSchema,
    render_email,
    render_page,
)
from delivery.domain.emails import Attachment
from delivery.domain.readings import EmailPage, EmailReading, Moment, Place
from delivery.domain.recipients import RecipientReport
from delivery.domain.reports import Report
from delivery.domain.states import State
from tests.unit.delivery.builders import CONTENT, EMAIL_ID, NOW, seconds, standing

RICH = replace(
    CONTENT,
    sender_name="The Shop",
    subject="Hi",
    html="<p>Hello</p>",
    to=("bob@example.com",),
    cc=("cid@example.com",),
    headers=(("X-Order", "1"),),
    attachments=(Attachment(filename="a.pdf", size=3, content_type="application/pdf"),),
    in_reply_to=EMAIL_ID,
)
READING = EmailReading(
    standing=standing(
        state=State.DELIVERED,
        attempts=1,
        send_at=NOW,
        recipients=("ann", "bob", "cid"),
        reported=(
            RecipientReport("bob", Report.FAILED, NOW),
            RecipientReport("cid", Report.DELIVERED, NOW + seconds(2)),
        ),
    ),
    content=RICH,
    history=(
        Moment(state=State.QUEUED, at=NOW + seconds(1)),
        Moment(state=State.DELIVERED, at=NOW + seconds(2), detail="reported by the provider"),
    ),
)


def test_every_state_has_a_status() -> None:
    assert STATUSES.keys() == set(State)


def test_the_statuses_are_those_that_the_documents_say() -> None:
    said = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|$", Path("docs/states.md").read_text(), re.MULTILINE)
    table = {state: status for status, states in said for state in states.split(", ")}
    assert table == {state.value: status for state, status in STATUSES.items()}


def test_an_email_is_rendered_with_its_events() -> None:
    rendered = render_email(READING)
    assert rendered["from"] == "The Shop <shop@example.com>"
    assert rendered["to"] == ["ann@example.com", "bob@example.com"]
    assert rendered["createdAt"] == rendered["scheduledAt"] == "2026-03-01T12:00:00.000Z"
    assert [event["status"] for event in rendered["emailEvents"]] == ["SCHEDULED", "QUEUED", "DELIVERED"]
    assert rendered["emailEvents"][2]["data"] == {"state": "delivered", "detail": "reported by the provider"}
    assert rendered["latestStatus"] == "DELIVERED"


def test_each_of_several_recipients_has_a_status_of_its_own() -> None:
    statuses = {each["email"]: each["status"] for each in render_email(READING)["recipients"]}
    assert statuses == {
        "ann@example.com": "SENT",
        "bob@example.com": "FAILED",
        "cid@example.com": "DELIVERED",
    }


@pytest.mark.parametrize("state", [State.SCHEDULED, State.DELIVERED, State.DEAD])
def test_the_only_recipient_stands_as_the_email_does(state: State) -> None:
    plain = EmailReading(standing=standing(state=state), content=CONTENT)
    (recipient,) = render_email(plain)["recipients"]
    assert recipient == {"email": "ann@example.com", "status": STATUSES[state], "reportedAt": None}


PLAIN = EmailReading(standing=standing(reason="no"), content=CONTENT)


@pytest.mark.parametrize("reading", [READING, PLAIN], ids=["rich", "plain"])
def test_what_is_rendered_is_what_the_schema_says(reading: EmailReading) -> None:
    assert EmailReadingSchema().validate(render_email(reading)) == {}
    page = EmailPage(emails=(reading,), count=1, next=Place(NOW, EMAIL_ID))
    assert EmailListSchema().validate(render_page(page)) == {}
    assert EmailListSchema().validate(render_page(EmailPage(emails=(), count=0))) == {}


@pytest.mark.parametrize(
    ("name", "mailbox"),
    [
        (None, "shop@example.com"),
        ("The Shop", "The Shop <shop@example.com>"),
        ("Shop, Inc.", '"Shop, Inc." <shop@example.com>'),
        ('The "Shop"', '"The \\"Shop\\"" <shop@example.com>'),
    ],
)
def test_a_name_that_has_special_characters_is_quoted(name: str | None, mailbox: str) -> None:
    reading = replace(PLAIN, content=replace(CONTENT, sender_name=name))
    assert render_email(reading)["from"] == mailbox


def test_a_cursor_comes_back_as_the_place_it_was_made_of() -> None:
    place = Place(NOW + seconds(0.123), EMAIL_ID)
    assert CursorField().deserialize(write_cursor(place)) == place
