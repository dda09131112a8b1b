import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from delivery.config_values import EXTRA_FIELDS
from delivery.contract.emails import MAX_ATTACHED, MAX_CONTENT, MAX_RECIPIENTS, EmailsContract
from delivery.domain.emails import Attachment, EmailRequest
from delivery.domain.errors import ComesTooLate, InvalidRequest
from delivery.domain.lanes import Lane
from tests.unit.delivery.builders import EMAIL_ID, NOW

RICH = EmailsContract(extra_fields=frozenset(EXTRA_FIELDS))
PLAIN = EmailsContract(extra_fields=frozenset())
BODY = {"to": "ann@example.com", "from": "shop@example.com", "subject": "Hi", "text": "Hello"}


def parse(contract: EmailsContract = RICH, **fields: Any) -> EmailRequest:
    """``from_`` stands for ``from``."""
    body = {**BODY, **{name.rstrip("_"): value for name, value in fields.items()}}
    return contract.parse(body, now=NOW)


def refusal(contract: EmailsContract = RICH, **fields: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        parse(contract, **fields)
    return str(refused.value)


def attachment(content: bytes = b"%PDF", **more: Any) -> dict[str, Any]:
    return {"filename": "invoice.pdf", "content": base64.b64encode(content).decode(), **more}


def test_a_plain_email_is_what_it_says() -> None:
    content = parse().content
    assert (content.recipient, content.sender, content.subject) == (
        "ann@example.com",
        "shop@example.com",
        "Hi",
    )
    assert (content.subject, content.message, content.html) == ("Hi", "Hello", None)


def test_all_recipients_are_of_one_email() -> None:
    content = parse(to=["a@example.com", "b@example.com"], cc="c@example.com", bcc=["d@example.com"]).content
    assert (content.recipient, content.to) == ("a@example.com", ("b@example.com",))
    assert content.recipients == ("a@example.com", "b@example.com", "c@example.com", "d@example.com")


def test_html_alone_needs_no_text() -> None:
    content = parse(text=None, html="<p>Hello</p>").content
    assert (content.message, content.html) == ("", "<p>Hello</p>")


def test_the_rest_is_carried_along() -> None:
    request = parse(
        replyTo=["desk@example.com"],
        headers={"X-Order": "4711"},
        attachments=[attachment(contentType="application/pdf"), attachment(b"x")],
        inReplyToId=EMAIL_ID,
        lane="bulk",
        priority=3,
        ttl=60,
    )
    content = request.content
    assert (content.reply_to, content.headers) == (("desk@example.com",), (("X-Order", "4711"),))
    assert content.attachments == (
        Attachment(filename="invoice.pdf", size=4, content_type="application/pdf"),
        Attachment(filename="invoice.pdf", size=1),
    )
    assert request.attached == (b"%PDF", b"x")
    assert content.in_reply_to == EMAIL_ID
    assert (request.lane, request.priority, request.expires_at) == (Lane.BULK, 3, NOW + timedelta(seconds=60))


@pytest.mark.parametrize(
    ("given", "address", "name"),
    [
        ("shop@example.com", "shop@example.com", None),
        ("<shop@example.com>", "shop@example.com", None),
        ("Shop <shop@example.com>", "shop@example.com", "Shop"),
        ("Bücher & Mehr <shop@example.com>", "shop@example.com", "Bücher & Mehr"),
        ('"Shop, \\"Inc.\\"" <shop@example.com>', "shop@example.com", 'Shop, "Inc."'),
    ],
)
def test_a_sender_may_have_a_name(given: str, address: str, name: str | None) -> None:
    content = parse(from_=given).content
    assert (content.sender, content.sender_name) == (address, name)


@pytest.mark.parametrize(
    "given", ["shop", "Shop shop@example.com", "<a@example.com> <b@example.com>", "Shop <>", 3]
)
def test_what_is_no_sender_is_refused(given: object) -> None:
    assert refusal(from_=given).startswith("from ")


def test_a_header_must_not_smuggle_in_another() -> None:
    for value in ("a\r\nBcc: b@example.com", "a\nb", "a\rb", "a\0b"):
        assert (
            refusal(headers={"X-A": value}) == "headers has a value of X-A that must not contain line breaks"
        )
    assert refusal(headers={"X-A: b\r\nX-C": "d"}).startswith("headers has a name that no header can have")
    assert (
        refusal(from_="Shop\r\nBcc: b@example.com <shop@example.com>") == "from must not contain line breaks"
    )
    assert refusal(attachments=[attachment(filename="a\r\nb")]).startswith("attachments[0].filename must not")


@pytest.mark.parametrize(
    "name",
    ["Subject", "FROM", "bcc", "Message-ID", "References", "Content-Type", "DKIM-Signature", "X-Postroom-Id"],
)
def test_headers_that_are_set_otherwise_are_refused_by_name(name: str) -> None:
    assert refusal(headers={name: "x"}) == f"headers must not set {name}: postroom or the provider does"


def test_headers_of_one_name_contradict_each_other() -> None:
    assert refusal(headers={"X-A": "1", "x-a": "2"}) == "headers has x-a more than once"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"to": None}, "missing to field"),
        ({"to": []}, "to is empty"),
        ({"to": ["Ann <ann@example.com>"]}, "to must not have a display name"),
        ({"to": 7}, "to must be an address or a list of addresses"),
        ({"cc": ["ann"]}, "cc is not a valid email address"),
        ({"from": None}, "missing from field"),
        ({"subject": None}, "missing subject field"),
        ({"text": None}, "missing text or html field"),
        ({"headers": ["X-A"]}, "headers must be an object of strings"),
        ({"attachments": "x"}, "attachments is of the wrong type"),
        ({"attachments": ["x"]}, "attachments[0] is of the wrong type"),
        ({"attachments": [{"filename": "a"}]}, "missing attachments[0].content field"),
        ({"attachments": [attachment(b"")]}, "attachments[0].content must be base64, and not empty"),
        (
            {"attachments": [attachment(), {"filename": "a", "content": "a=b"}]},
            "attachments[1].content must be base64, and not empty",
        ),
        ({"attachments": [attachment(path="/etc/passwd")]}, "unknown field 'attachments[0].path'"),
        (
            {"attachments": [attachment(contentType="pdf")]},
            "attachments[0].contentType must be a media type such as application/pdf",
        ),
        ({"attachments": [attachment()] * 11}, "attachments has more than 10 files"),
        ({"inReplyToId": "1"}, "inReplyToId is not a UUID"),
        ({"templateId": "t1", "subject": None}, "templateId is not supported yet: there are no templates"),
        ({"variables": {}}, "variables is not supported yet: there are no templates"),
        (
            {"scheduledAt": "2030-01-01"},
            "scheduledAt must be a time with its offset, such as 2030-01-31T12:00:00Z",
        ),
        ({"scheduledAt": (NOW + timedelta(days=91)).isoformat()}, "scheduledAt is more than 90 days ahead"),
        ({"lane": "fast"}, "lane must be one of critical, transactional, standard, bulk"),
        ({"ttl": 60, "expires_at": "2030-01-01T00:00:00Z"}, "give expires_at or ttl, not both"),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_what_is_wrong_is_said_by_name(fields: dict[str, Any], reason: str) -> None:
    assert refusal(**fields) == reason


def test_null_is_as_missing() -> None:
    names = ["cc", "bcc", "replyTo", "html", "headers", "attachments", "inReplyToId", "templateId"]
    nothing: dict[str, Any] = dict.fromkeys(names)
    assert parse(**nothing) == parse()
    assert parse(attachments=[attachment(contentType=None)]) == parse(attachments=[attachment()])


def test_what_an_email_may_have_has_a_most() -> None:
    assert parse(cc=["c@example.com"] * (MAX_RECIPIENTS - 1))
    assert (
        refusal(cc=["c@example.com"] * MAX_RECIPIENTS)
        == f"to, cc and bcc have more than {MAX_RECIPIENTS} addresses"
    )
    assert parse(text="x" * MAX_CONTENT)
    assert (
        refusal(text="x" * MAX_CONTENT, html="y")
        == f"text, html and headers have more than {MAX_CONTENT} bytes"
    )
    half = attachment(b"x" * (MAX_ATTACHED // 2))
    assert len(parse(attachments=[half, half]).attached) == 2
    assert (
        refusal(attachments=[half, half, attachment(b"x")])
        == f"attachments have more than {MAX_ATTACHED} bytes"
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"subject": "Hi"}, "subject field is not supported by the provider"),
        ({"html": "<p>"}, "html field is not supported by the provider"),
        (
            {"to": ["a@example.com", "b@example.com"]},
            "several addresses in to are not supported by the provider",
        ),
        ({"cc": "c@example.com"}, "cc field is not supported by the provider"),
        ({"bcc": ["c@example.com"]}, "bcc field is not supported by the provider"),
        ({"replyTo": "c@example.com"}, "replyTo field is not supported by the provider"),
        ({"headers": {"X-A": "b"}}, "headers field is not supported by the provider"),
        ({"attachments": [attachment()]}, "attachments field is not supported by the provider"),
        ({"inReplyToId": EMAIL_ID}, "inReplyToId field is not supported by the provider"),
        ({"from": "Shop <shop@example.com>"}, "a name in from is not supported by the provider"),
    ],
)
def test_what_the_provider_cant_carry_is_denied_by_name(fields: dict[str, Any], reason: str) -> None:
    given: dict[str, Any] = {"subject": None, **fields}
    assert refusal(PLAIN, **given) == reason


def test_a_plain_provider_carries_a_plain_email_without_what_is_empty() -> None:
    assert parse(PLAIN, subject=None, cc=[], to=["ann@example.com"], headers={}).content.message == "Hello"


def test_what_came_too_late_says_so() -> None:
    with pytest.raises(ComesTooLate):
        parse(expires_at=NOW.isoformat())


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"[]", "the batch is empty"),
        (b"{}", "body must be a JSON array"),
        (b"[", "body is not JSON"),
        (json.dumps([BODY] * 101).encode(), "a batch has at most 100 emails"),
    ],
)
def test_a_batch_has_one_to_a_hundred_emails(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        RICH.read_batch(raw)
    assert len(RICH.read_batch(json.dumps([BODY] * 100).encode())) == 100


def test_two_requests_are_alike_whatever_the_order_of_their_fields_and_their_nulls() -> None:
    reordered = {**dict(reversed(BODY.items())), "cc": None}
    assert RICH.fingerprint(reordered) == RICH.fingerprint(BODY)
    strict = RICH.batch_fingerprint([BODY, {**BODY, "text": "2"}], is_permissive=False)
    assert RICH.batch_fingerprint([reordered, {**BODY, "text": "2"}], is_permissive=False) == strict
    assert RICH.batch_fingerprint([{**BODY, "text": "2"}, BODY], is_permissive=False) != strict
    assert RICH.batch_fingerprint([BODY, {**BODY, "text": "2"}], is_permissive=True) != strict


def test_an_item_that_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="must be a JSON object"):
        RICH.parse("x", now=NOW)


def test_an_email_may_be_scheduled() -> None:
    later = NOW + timedelta(days=1)
    request = parse(scheduledAt=later.isoformat(), ttl=60)
    assert (request.send_at, request.expires_at) == (later, later + timedelta(seconds=60))
