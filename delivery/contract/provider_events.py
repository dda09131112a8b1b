"""What the mail delivery service reports, in its own words."""

from marshmallow import INCLUDE, Schema, fields

from delivery.contract.fields import Choice, Text

STATUSES = ("DELIVERED", "REJECTED", "FAILED")


class MailDeliveryEventSchema(Schema):
    """Whatever else is in it is kept."""

    class Meta:
        unknown = INCLUDE

    ID = Text(required=True, most=200, metadata={"description": "the email's id, as the provider got it"})
    STATUS = Choice(STATUSES, required=True)
    RECIPIENT = Text(most=1000, metadata={"description": "whom it is about, of several recipients"})


class WebhookTokenSchema(Schema):
    token = fields.String(required=True, metadata={"description": "a secret that the provider was given"})
