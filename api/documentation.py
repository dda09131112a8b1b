"""``GET /openapi.json`` and ``GET /docs``: open to all. They hold no secret, and nothing of anybody's mail.

The page is Swagger UI, from an installed package: it loads nothing from elsewhere, and its policy lets it
neither load nor call anything but this API.
"""

from functools import cache
from http import HTTPStatus
from importlib.resources import files

from flask import Blueprint, Response, abort, current_app, jsonify
from marshmallow import INCLUDE, Schema, fields

from api.openapi import Json, describe
from api.operations import Answer, Operation, describes

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)

_ASSETS = {
    # name: package, path in it, type
    "swagger-ui.css": ("flask_swagger_ui", "dist/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("flask_swagger_ui", "dist/swagger-ui-bundle.js", "text/javascript"),
    "favicon-32x32.png": ("flask_swagger_ui", "dist/favicon-32x32.png", "image/png"),
    "start.js": ("api", "docs/start.js", "text/javascript"),
}


class OpenApiSchema(Schema):
    class Meta:
        unknown = INCLUDE

    openapi = fields.String(required=True)
    info = fields.Dict(required=True)
    paths = fields.Dict(required=True)
    components = fields.Dict(required=True)


def blueprint() -> Blueprint:
    routes = Blueprint("documentation", __name__)

    @routes.get("/openapi.json")
    @describes(
        Operation(
            summary="This description",
            tag="description",
            answers={HTTPStatus.OK: Answer("an OpenAPI document", OpenApiSchema)},
        )
    )
    def document() -> Response:
        return jsonify(made())

    @cache
    def made() -> Json:
        return describe(current_app)

    @routes.get("/docs")
    @describes(
        Operation(
            summary="This description, for people",
            tag="description",
            answers={HTTPStatus.OK: Answer("a page", media_type="text/html")},
        )
    )
    def page() -> Response:
        return _file("api", "docs/index.html", "text/html")

    @routes.get("/docs/<name>")
    def asset(name: str) -> Response:
        if name not in _ASSETS:
            abort(HTTPStatus.NOT_FOUND)
        response = _file(*_ASSETS[name])
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    return routes


def _file(package: str, path: str, media_type: str) -> Response:
    response = Response((files(package) / path).read_bytes(), mimetype=media_type)
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
