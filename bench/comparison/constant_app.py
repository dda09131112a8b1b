"""A Flask app that does nothing: how many requests gunicorn and Flask take at most."""

from flask import Flask, Response
from flask.typing import ResponseReturnValue

_ANSWER = b'{"status":"accepted","request_id":"01a201dd-46e8-75da-aeb0-7ae16905b066"}'


def create_app() -> Flask:
    app = Flask("constant")

    @app.post("/send")
    def send() -> ResponseReturnValue:
        return Response(_ANSWER, status=202, content_type="application/json")

    @app.get("/readyz")
    def ready() -> ResponseReturnValue:
        return Response(status=200)

    return app
