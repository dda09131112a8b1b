"""What an error is answered with."""

from marshmallow import Schema, fields, validate


class DeniedSchema(Schema):
    """``denied``: the caller must change something; ``error``: we must."""

    status = fields.String(required=True, validate=validate.OneOf(("denied", "error")))
    reason = fields.String(required=True)
    request_id = fields.UUID(metadata={"description": "of an email that may have been accepted"})
