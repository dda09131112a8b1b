"""``GET /livez`` and ``GET /readyz``"""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify

from api.errors import RETRY_AFTER
from delivery.bootstrap import ApiParts


def blueprint(parts: ApiParts) -> Blueprint:
    routes = Blueprint("health", __name__)

    @routes.get("/livez")
    def livez() -> Response:
        return jsonify(status="alive")

    @routes.get("/readyz")
    def readyz() -> Response:
        """Accepting needs the store alone: without the broker we are degraded, not down."""
        parts.publishing.start()  # gunicorn's hook did it; behind another server, we would stay degraded
        store, broker = parts.store.is_reachable(), parts.publishing.is_connected
        status = "ready" if store and broker else "degraded" if store else "down"
        response = jsonify(
            status=status,
            store="reachable" if store else "away",
            broker="connected" if broker else "away",
        )
        if not store:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
            response.headers["Retry-After"] = RETRY_AFTER
        return response

    return routes
