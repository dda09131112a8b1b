"""``GET /livez`` and ``GET /readyz``"""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify

from api.errors import RETRY_AFTER
from api.operations import Answer, Operation, describes
from delivery.bootstrap import ApiParts
from delivery.contract.health import AliveSchema, ReadySchema, provider_health
from delivery.domain.breaker import Breaker
from delivery.domain.errors import StoreUnavailable


def blueprint(parts: ApiParts) -> Blueprint:
    routes = Blueprint("health", __name__)

    @routes.get("/livez")
    @describes(
        Operation(
            summary="Whether the process lives",
            tag="health",
            answers={HTTPStatus.OK: Answer("it does", AliveSchema)},
        )
    )
    def livez() -> Response:
        return jsonify(status="alive")

    @routes.get("/readyz")
    @describes(
        Operation(
            summary="Whether emails can be accepted",
            tag="health",
            answers={
                HTTPStatus.OK: Answer("they can: ready, or degraded", ReadySchema),
                HTTPStatus.SERVICE_UNAVAILABLE: Answer("the store is away", ReadySchema, ("Retry-After",)),
            },
        )
    )
    def readyz() -> Response:
        """Accepting needs the store alone: without the broker or the provider we are degraded, not down."""
        parts.publishing.start()  # gunicorn's hook did it; behind another server, we would stay degraded
        breaker, broker = _breaker(parts), parts.publishing.is_connected
        store = breaker is not None
        is_whole = broker and breaker is not None and breaker.is_closed
        response = jsonify(
            status="down" if not store else "ready" if is_whole else "degraded",
            store="reachable" if store else "away",
            broker="connected" if broker else "away",
            **({"provider": provider_health(breaker)} if breaker is not None else {}),
        )
        if not store:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
            response.headers["Retry-After"] = RETRY_AFTER
        return response

    return routes


def _breaker(parts: ApiParts) -> Breaker | None:
    """How the provider's breaker stands; None while the store, which has it, is away."""
    try:
        return parts.store.breakers.get(parts.config.provider.name)
    except StoreUnavailable:
        return None
