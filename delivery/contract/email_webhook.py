"""The body of ``POST /webhook/email``: a notice under an id of the caller's own."""

from datetime import datetime
from typing import Any

from marshmallow import RAISE, Schema, ValidationError

from delivery.contract.faults import deny
from delivery.contract.fields import MAX_SUBJECT, Address, Printable, Text
from delivery.contract.json_bodies import parse_object
from delivery.domain.derived_ids import derived_email_id
from delivery.domain.emails import Content, EmailRequest, NewEmail
from delivery.domain.errors import InvalidRequest, NotAllowed
from delivery.domain.idempotency import fingerprint
from delivery.domain.lanes import Lane
from delivery.domain.tenants import Tenant

MAX_EMAIL_ID = 255

LANES = (Lane.TRANSACTIONAL, Lane.STANDARD, Lane.BULK, Lane.CRITICAL)
"""The lane is the first of these that the tenant may use: the body names none."""


class EmailWebhookSchema(Schema):
    """The fields in the order in which their faults are reported."""

    class Meta:
        unknown = RAISE

    email_id = Printable(most=MAX_EMAIL_ID, required=True)
    user = Address(required=True)
    subject = Text(one_line=True, most=MAX_SUBJECT)
    body = Text(required=True)


class EmailWebhookWithSubjectSchema(EmailWebhookSchema):
    subject = Text(required=True, one_line=True, most=MAX_SUBJECT)


_WITH_SUBJECT = EmailWebhookWithSubjectSchema()
_WITHOUT_SUBJECT = EmailWebhookSchema(exclude=["subject"])
_EXAMPLE = {"email_id": "welcome-4711", "user": "ann@example.com", "body": "Welcome to the shop."}


class EmailWebhookContract:
    """carries_subject: whether the routed provider does. If so a subject is required, else it is denied."""

    def __init__(self, *, carries_subject: bool) -> None:
        self._schema = EmailWebhookSchema()
        self.body = _WITH_SUBJECT if carries_subject else _WITHOUT_SUBJECT
        self.examples = {"an email": _EXAMPLE | ({"subject": "Welcome"} if carries_subject else {})}
        self._carries_subject = carries_subject

    def parse(self, raw: bytes, *, tenant: Tenant, now: datetime) -> NewEmail:
        """The email as it would be stored, under the id that its own ``email_id`` always gets.

        Raises InvalidRequest whose reason names the field. Without a default sender of the tenant's the email
        has none, and check() refuses it.
        """
        body = parse_object(raw)
        try:
            values: dict[str, Any] = self._schema.load(body)
        except ValidationError as error:
            deny(error, known=self._schema.fields)
        if "subject" in values and not self._carries_subject:
            raise InvalidRequest("subject field is not supported by the provider")
        if "subject" not in values and self._carries_subject:
            raise InvalidRequest("missing subject field")
        return NewEmail(
            email_id=derived_email_id("webhook/email", tenant.tenant_id, values["email_id"]),
            tenant_id=tenant.tenant_id,
            request=EmailRequest(
                content=Content(
                    sender=tenant.sender_default or "",
                    recipient=values["user"],
                    message=values["body"],
                    subject=values.get("subject"),
                ),
                lane=next(lane for lane in LANES if lane in tenant.lanes),
            ),
            accepted_at=now,
            content_hash=fingerprint(body),
        )


def check(email: NewEmail, tenant: Tenant) -> None:
    """Raises NotAllowed if the tenant may not send this, or nobody has said who sends it."""
    if tenant.sender_default is None:
        raise NotAllowed("this tenant has no default sender (postroom tenants change --sender-default)")
    tenant.check(email.request)
