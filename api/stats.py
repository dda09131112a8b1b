"""``GET /stats``: how many emails the caller's tenant has, by what became of them."""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify

from api.authentication import caller_of_request
from api.operations import Answer, Operation, describes
from delivery.bootstrap import ApiParts
from delivery.contract.stats import StatsSchema, render_stats


def blueprint(parts: ApiParts) -> Blueprint:
    routes = Blueprint("stats", __name__)

    @routes.get("/stats")
    @describes(
        Operation(
            summary="How many emails there are, by lane and by what became of them",
            description="What happened in the last second or so may not be in it yet.",
            answers={HTTPStatus.OK: Answer("the counts of the caller's tenant", StatsSchema)},
        )
    )
    def stats() -> Response:
        return jsonify(render_stats(parts.store.counts.of_tenant(caller_of_request().tenant.tenant_id)))

    return routes
