"""The bodies of ``POST /api/v1/emails`` and ``/api/v1/emails/batch``, and what these answer.

They are those of useSend's public API (https://docs.usesend.com), with lane, priority, ttl and expires_at
besides. A field that is null is as one that is missing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from delivery.contract.faults import deny
from delivery.contract.fields import MAX_SUBJECT, Choice, Instant, JsonSchema, Text, Uuid, WholeNumber
from delivery.contract.json_bodies import parse_array, parse_object
from delivery.contract.rich_fields import Addresses, Base64, Headers, Mailbox, MailboxField, MediaType, NotYet
from delivery.contract.times import MAX_TTL_SECONDS, expiry, send_time
from delivery.domain.emails import Attachment, Content, EmailRequest
from delivery.domain.errors import InvalidRequest
from delivery.domain.idempotency import fingerprint
from delivery.domain.lanes import DEFAULT_PRIORITY, PRIORITIES, Lane

MOST_IN_BATCH = 100
MAX_RECIPIENTS = 50
MAX_ATTACHMENTS = 10
MAX_ATTACHED = 10 * 1024 * 1024
"""Bytes of all attachments of an email, decoded."""

MAX_CONTENT = 4 * 1024 * 1024
"""Bytes of text, html and headers: an email is one document, for which MongoDB has 16 MiB."""

_NO_TEMPLATES = "is not supported yet: there are no templates"

_OPTIONAL: dict[str, Any] = {"allow_none": True}
"""Null is as missing."""


_EXAMPLE = {"from": "shop@example.com", "to": "ann@example.com", "text": "Your order is on its way."}


def _given(name: str) -> JsonSchema:
    """In JSON Schema: this field is there, and not null."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


class AttachmentSchema(Schema):
    """content: in base64."""

    class Meta:
        unknown = RAISE

    filename = Text(required=True, one_line=True, most=255)
    content = Base64(required=True)
    content_type = MediaType(data_key="contentType", **_OPTIONAL)


class EmailSchema(Schema):
    """The fields in the order in which their faults are reported."""

    class Meta:
        unknown = RAISE
        between_fields: ClassVar[JsonSchema] = {
            "anyOf": [_given("text"), _given("html")],
            "not": {"allOf": [_given("expires_at"), _given("ttl")]},
        }

    template_id = NotYet(_NO_TEMPLATES, data_key="templateId")
    variables = NotYet(_NO_TEMPLATES)
    mailbox = MailboxField(required=True, data_key="from")
    to = Addresses(required=True, least=1)
    cc = Addresses(**_OPTIONAL)
    bcc = Addresses(**_OPTIONAL)
    reply_to = Addresses(data_key="replyTo", **_OPTIONAL)
    subject = Text(one_line=True, most=MAX_SUBJECT)
    html = Text(**_OPTIONAL)
    text = Text(**_OPTIONAL)
    headers = Headers(**_OPTIONAL)
    attachments = fields.List(
        fields.Nested(AttachmentSchema),
        validate=validate.Length(max=MAX_ATTACHMENTS, error="has more than {max} files"),
        **_OPTIONAL,
    )
    scheduled_at = Instant(data_key="scheduledAt", **_OPTIONAL)
    in_reply_to_id = Uuid(data_key="inReplyToId", **_OPTIONAL)
    lane = Choice(tuple(lane.value for lane in Lane), **_OPTIONAL)
    priority = WholeNumber(least=PRIORITIES[0], most=PRIORITIES[-1], **_OPTIONAL)
    ttl = WholeNumber(least=1, most=MAX_TTL_SECONDS, **_OPTIONAL)
    expires_at = Instant(**_OPTIONAL)


class EmailIdSchema(Schema):
    """The answer to ``POST /api/v1/emails``, and to one email of a batch."""

    email_id = fields.String(required=True, data_key="emailId")


class RefusedSchema(Schema):
    """An email of a permissive batch that was not accepted. index: its place in the batch, from 0."""

    index = fields.Integer(required=True)
    message = fields.String(required=True)


class BatchAnswerSchema(Schema):
    """data: the accepted ones in the batch's order, which is without those that ``errors`` names."""

    data = fields.List(fields.Nested(EmailIdSchema), required=True)
    errors = fields.List(fields.Nested(RefusedSchema))


class EmailsContract:
    """Parses rich emails.

    extra_fields: what the routed provider can carry beyond the basic fields; others are denied by name,
    never dropped.
    """

    def __init__(self, *, extra_fields: frozenset[str]) -> None:
        self._schema = EmailSchema()
        self._known = {field.data_key or name: name for name, field in self._schema.fields.items()}
        self._extra = extra_fields
        self.body: Schema = self._described()
        subject = {"subject": "Your order"} if "subject" in extra_fields else {}
        self.examples: dict[str, object] = {"an email": {**_EXAMPLE, **subject}}
        self.batch_body: JsonSchema = {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_IN_BATCH,
            "items": self.body,
        }

    def read(self, raw: bytes) -> dict[str, Any]:
        """One email's body, unchecked. Raises InvalidRequest."""
        return parse_object(raw)

    def read_batch(self, raw: bytes) -> list[Any]:
        """A batch's bodies, unchecked. Raises InvalidRequest."""
        items = parse_array(raw)
        if not items:
            raise InvalidRequest("the batch is empty")
        if len(items) > MOST_IN_BATCH:
            raise InvalidRequest(f"a batch has at most {MOST_IN_BATCH} emails")
        return items

    def fingerprint(self, body: dict[str, Any]) -> str:
        """What two requests with one idempotency key must have in common."""
        return fingerprint(body)

    def batch_fingerprint(self, items: list[Any], *, is_permissive: bool) -> str:
        return fingerprint({"batch": items, "permissive": is_permissive})

    def parse(self, body: Any, *, now: datetime) -> EmailRequest:
        """Validate what read() or read_batch() gave. Raises InvalidRequest whose reason names the field."""
        if not isinstance(body, dict):
            raise InvalidRequest("must be a JSON object")
        try:
            values: dict[str, Any] = self._schema.load(_without_nulls(body))
        except ValidationError as error:
            deny(error, known=self._known)
        content = self._content(values)
        self._check(content)
        send_at = send_time(values.get("scheduled_at"), field="scheduledAt", now=now)
        return EmailRequest(
            content=content,
            lane=Lane(values["lane"]) if "lane" in values else Lane.TRANSACTIONAL,
            priority=values.get("priority", DEFAULT_PRIORITY),
            send_at=send_at,
            expires_at=expiry(values.get("expires_at"), ttl=values.get("ttl"), send_at=send_at, now=now),
            attached=tuple(attachment["content"] for attachment in values.get("attachments", ())),
        )

    def _described(self) -> Schema:
        """The schema without what is refused."""
        denied = {name for name, needed in _FIELDS.items() if needed not in self._extra}
        schema = EmailSchema(exclude={"template_id", "variables", *denied})
        if "subject" in self._extra:
            schema.fields["subject"].required = True
        if "to" not in self._extra and isinstance(to := schema.fields["to"], Addresses):
            to.most_described = 1
        return schema

    def _content(self, values: Mapping[str, Any]) -> Content:
        mailbox: Mailbox = values["mailbox"]
        return Content(
            sender=mailbox.address,
            sender_name=mailbox.name,
            recipient=values["to"][0],
            to=values["to"][1:],
            cc=values.get("cc", ()),
            bcc=values.get("bcc", ()),
            reply_to=values.get("reply_to", ()),
            subject=values.get("subject"),
            message=values.get("text", ""),
            html=values.get("html"),
            headers=values.get("headers", ()),
            attachments=tuple(_attachment(given) for given in values.get("attachments", ())),
            in_reply_to=values.get("in_reply_to_id"),
        )

    def _check(self, content: Content) -> None:
        """What no single field can tell."""
        self._check_provider(content)
        if content.subject is None and "subject" in self._extra:
            raise InvalidRequest("missing subject field")
        if not content.message and content.html is None:
            raise InvalidRequest("missing text or html field")
        if len(content.recipients) > MAX_RECIPIENTS:
            raise InvalidRequest(f"to, cc and bcc have more than {MAX_RECIPIENTS} addresses")
        if content.size > MAX_CONTENT:
            raise InvalidRequest(f"text, html and headers have more than {MAX_CONTENT} bytes")
        if sum(attachment.size for attachment in content.attachments) > MAX_ATTACHED:
            raise InvalidRequest(f"attachments have more than {MAX_ATTACHED} bytes")

    def _check_provider(self, content: Content) -> None:
        for needed, name in _NEEDS.items():
            if getattr(content, needed) and needed not in self._extra:
                raise InvalidRequest(f"{name} not supported by the provider")


_FIELDS = {
    "cc": "cc",
    "bcc": "bcc",
    "reply_to": "reply_to",
    "subject": "subject",
    "html": "html",
    "headers": "headers",
    "attachments": "attachments",
    "in_reply_to_id": "in_reply_to",
}
"""What a provider must be able to carry for these fields of the schema to be of use."""

_NEEDS = {
    "sender_name": "a name in from is",
    "to": "several addresses in to are",
    "cc": "cc field is",
    "bcc": "bcc field is",
    "reply_to": "replyTo field is",
    "subject": "subject field is",
    "html": "html field is",
    "headers": "headers field is",
    "attachments": "attachments field is",
    "in_reply_to": "inReplyToId field is",
}
"""What a provider must be able to carry for this part of a content, and what is said if it isn't."""


def _attachment(values: Mapping[str, Any]) -> Attachment:
    return Attachment(
        filename=values["filename"], size=len(values["content"]), content_type=values.get("content_type")
    )


def _without_nulls(body: dict[str, Any]) -> dict[str, Any]:
    """Also in the attachments: elsewhere a null is nothing that a caller can mean."""
    given = {name: value for name, value in body.items() if value is not None}
    attachments = given.get("attachments")
    if isinstance(attachments, list):
        given["attachments"] = [
            _without_nulls(each) if isinstance(each, dict) else each for each in attachments
        ]
    return given
