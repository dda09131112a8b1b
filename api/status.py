"""``GET /status/<id>`` and ``GET /status?request_id=``"""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from api.authentication import caller_of_request
from api.operations import Answer, Operation, describes
from delivery.bootstrap import ApiParts
from delivery.contract.status import RequestIdSchema, StatusSchema, parse_request_id, render_status
from delivery.use_cases.read_status import read_status

_ANSWERS = {HTTPStatus.OK: Answer("how it stands", StatusSchema)}
_ERRORS = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)


def blueprint(parts: ApiParts) -> Blueprint:
    routes = Blueprint("status", __name__)

    @routes.get("/status")
    @describes(
        Operation(summary="What became of an email", query=RequestIdSchema, answers=_ANSWERS, errors=_ERRORS)
    )
    def by_query() -> Response:
        return _answer(request.args.get("request_id"))

    @routes.get("/status/<request_id>")
    @describes(
        Operation(summary="What became of an email", path=RequestIdSchema, answers=_ANSWERS, errors=_ERRORS)
    )
    def by_path(request_id: str) -> Response:
        return _answer(request_id)

    def _answer(given: str | None) -> Response:
        tenant_id = caller_of_request().tenant.tenant_id
        standing = read_status(tenant_id, parse_request_id(given), emails=parts.store.emails)
        reports = parts.config.provider.reports_deliveries
        return jsonify(render_status(standing, provider_reports_deliveries=reports))

    return routes
