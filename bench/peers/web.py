"""The HTTP side of the peers that use Flask. They differ in how they queue."""

import hashlib
import hmac
import os
from collections.abc import Callable

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from bench.peers.emails import STATES, Emails, EmailSchema, new_document
from bench.peers.settings import PRIORITIES, load_settings

Enqueue = Callable[[str, int], object]
"""Queues an email's id with a priority. Returns when the broker has confirmed it; raises if it has not."""


def create_flask_app(enqueue: Enqueue) -> Flask:
    settings = load_settings(os.environ)
    emails = Emails(settings.mongodb_uri)
    schema = EmailSchema()
    app = Flask("peer")

    @app.post("/send")
    def send() -> ResponseReturnValue:
        try:
            email = schema.load(request.get_json())
        except ValidationError as error:
            return jsonify(status="denied", reason=error.messages), 400
        document = new_document(email)
        emails.add(document)
        enqueue(document["_id"], PRIORITIES[email["lane"]])
        return jsonify(status="accepted", request_id=document["_id"]), 202

    @app.post("/webhooks/mail-delivery-service")
    def report() -> ResponseReturnValue:
        if not is_signed(request.get_data(), request.headers.get("X-Signature", ""), settings.webhook_secret):
            return jsonify(error="signature"), 401
        event = request.get_json()
        emails.reported(event["ID"], STATES[event["STATUS"]])
        return Response(status=204)

    @app.get("/readyz")
    def ready() -> ResponseReturnValue:
        return jsonify(status="ready")

    return app


def is_signed(raw: bytes, signature: str, secret: str) -> bool:
    digest = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"sha256={digest}", signature)
