"""``POST /send``"""

from datetime import timedelta
from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from api.authentication import caller_of_request, time_since_arrival
from api.bodies import read_body
from api.errors import answer
from api.preferences import wanted_wait
from api.waiting import OutcomeWaits
from delivery.bootstrap import ApiParts, new_email_id, utc_now
from delivery.contract.status import render_status
from delivery.domain.emails import NewEmail
from delivery.domain.errors import InvalidRequest, StoreOutcomeUnknown

COMMIT_WITHIN = timedelta(seconds=1.8)
"""The caller hears within 2 s, whatever the store does."""


def blueprint(parts: ApiParts, waits: OutcomeWaits) -> Blueprint:
    routes = Blueprint("sending", __name__)

    @routes.post("/send")
    def send() -> Response:
        now = utc_now()
        wait = wanted_wait(request.headers.getlist("Prefer"))
        if request.mimetype != "application/json":
            raise InvalidRequest("Content-Type must be application/json")
        tenant = caller_of_request().tenant
        email = NewEmail(
            email_id=new_email_id(),
            tenant_id=tenant.tenant_id,
            request=parts.contract.parse(read_body(), now=now),
            accepted_at=now,
        )
        tenant.check(email.request)
        try:
            parts.accept.commit(email, within=COMMIT_WITHIN - time_since_arrival())
        except StoreOutcomeUnknown:
            return answer(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the email may have been accepted; ask /status before sending it again",
                request_id=email.email_id,
            )
        if wait is None:
            return _accepted(email.email_id)
        return _after_waiting(email.email_id, wait)

    def _after_waiting(email_id: str, wait: int) -> Response:
        waited = waits.wait(email_id, within=timedelta(seconds=wait))
        if waited.standing is not None:
            reports = parts.config.provider.reports_deliveries
            response = jsonify(render_status(waited.standing, provider_reports_deliveries=reports))
        else:
            response = _accepted(email_id)
        if waited.was_honoured:
            response.headers["Preference-Applied"] = f"wait={wait}"
        return response

    return routes


def _accepted(email_id: str) -> Response:
    response = jsonify(status="accepted", request_id=email_id)
    response.status_code = HTTPStatus.ACCEPTED
    response.headers["Location"] = f"/status/{email_id}"
    return response
