"""What requests are answered with that were taken."""

from marshmallow import Schema, fields, validate


class AcceptedSchema(Schema):
    """The email is stored for good, and will be sent."""

    status = fields.String(required=True, validate=validate.Equal("accepted"))
    request_id = fields.UUID(required=True, metadata={"description": "to ask with what became of it"})


class RecordedSchema(Schema):
    """The provider's event is stored for good."""

    status = fields.String(required=True, validate=validate.Equal("recorded"))
