"""``POST /webhooks/mail-delivery-service``: the provider's events, signed, or with a token in the path."""

import hmac
from http import HTTPStatus

from flask import Blueprint, Response, request

from api.bodies import read_body
from api.operations import Answer, Operation, describes
from api.sending import COMMIT_WITHIN
from api.told import Told
from delivery.bootstrap import ApiParts
from delivery.contract.answers import RecordedSchema
from delivery.contract.provider_events import MailDeliveryEventSchema, WebhookTokenSchema
from delivery.domain.errors import NotAuthenticated
from delivery.providers import mail_delivery_service

_ANSWERS = {HTTPStatus.OK: Answer("it is stored for good", RecordedSchema)}
_EXAMPLES = {"delivered": {"ID": "01a201dd-46e8-75da-aeb0-7ae16905b066", "STATUS": "DELIVERED"}}


RECORDED = Told(HTTPStatus.OK, {"status": "recorded"})
PREFIX = "/webhooks"
SIGNED = "/mail-delivery-service"


def blueprint(parts: ApiParts) -> Blueprint:
    routes = Blueprint("webhooks", __name__, url_prefix=PREFIX)
    secrets = parts.config.provider.webhook_secrets
    tokens = tuple(token.encode() for token in parts.config.provider.webhook_path_tokens)

    @routes.post(SIGNED)
    @describes(
        Operation(
            summary="An event of the provider's, signed",
            tag="for the provider",
            body=MailDeliveryEventSchema,
            examples=_EXAMPLES,
            answers=_ANSWERS,
            errors=(HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE),
        )
    )
    def signed() -> Response:
        raw = read_body()
        mail_delivery_service.verify(raw, request.headers.get("X-Signature"), secrets=secrets)
        return _record(raw)

    @routes.post(f"{SIGNED}/<token>")
    @describes(
        Operation(
            summary="An event of a provider's that can't sign",
            tag="for the provider",
            path=WebhookTokenSchema,
            body=MailDeliveryEventSchema,
            examples=_EXAMPLES,
            answers=_ANSWERS,
            errors=(HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE),
        )
    )
    def with_token(token: str) -> Response:
        valid = False
        for known in tokens:
            valid |= hmac.compare_digest(known, token.encode("utf-8", "replace"))
        if not valid:
            raise NotAuthenticated("wrong token")
        return _record(read_body())

    def _record(raw: bytes) -> Response:
        for event in mail_delivery_service.parse_events(raw):
            parts.record.commit(event, within=COMMIT_WITHIN)
        return RECORDED.response()

    return routes
