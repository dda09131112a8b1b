"""What an error is answered with."""

from marshmallow import Schema, fields, validate


class DeniedSchema(Schema):
    """``denied``: the caller must change something; ``error``: we must."""

    status = fields.String(required=True, validate=validate.OneOf(("denied", "error")))
    reason = fields.String(required=True)
    request_id = fields.UUID(metadata={"description": "of an email that may have been accepted"})


class ErrorDetailSchema(Schema):
    """code: BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND … as useSend has them."""

    code = fields.String(required=True)
    message = fields.String(required=True)


class ApiErrorSchema(Schema):
    """Every error under ``/api/v1``."""

    error = fields.Nested(ErrorDetailSchema, required=True)
    email_ids = fields.List(
        fields.UUID(),
        data_key="emailIds",
        metadata={"description": "of emails that may have been accepted"},
    )
