"""``POST /send``"""

from datetime import timedelta
from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from api.authentication import caller_of_request, time_since_arrival
from api.bodies import read_body
from api.errors import answer
from api.operations import Answer, Operation, describes
from api.preferences import SendHeadersSchema, idempotency_key, wanted_wait
from api.waiting import OutcomeWaits
from delivery.bootstrap import ApiParts, new_email_id, utc_now
from delivery.contract.answers import AcceptedSchema
from delivery.contract.status import StatusSchema, render_status
from delivery.domain.emails import NewEmail
from delivery.domain.errors import ComesTooLate, InvalidRequest, StoreOutcomeUnknown
from delivery.domain.idempotency import KeyRecord, record_id
from delivery.use_cases.accept_once import KeyedRequest, Once

COMMIT_WITHIN = timedelta(seconds=1.8)
"""The caller hears within 2 s, whatever the store does."""

_HEADERS = ("Location", "Idempotency-Replay", "Preference-Applied")
_EXAMPLES = {
    "an email": {
        "sender": "shop@example.com",
        "recipient": "ann@example.com",
        "message": "Your order is on its way.",
    },
    "a one-time password": {
        "sender": "login@example.com",
        "recipient": "ann@example.com",
        "message": "Your code is 123456",
        "lane": "critical",
        "priority": 3,
        "ttl": 300,
    },
}


def blueprint(parts: ApiParts, waits: OutcomeWaits) -> Blueprint:
    routes = Blueprint("sending", __name__)

    @routes.post("/send")
    @describes(
        Operation(
            summary="Send an email",
            description="Answered as soon as the email is stored for good.",
            body=parts.contract.body,
            examples=_EXAMPLES,
            headers=SendHeadersSchema,
            answers={
                HTTPStatus.ACCEPTED: Answer("accepted", AcceptedSchema, _HEADERS),
                HTTPStatus.OK: Answer("accepted, and the provider has answered", StatusSchema, _HEADERS),
            },
            errors=(HTTPStatus.CONFLICT,),
        )
    )
    def send() -> Response:
        now, tenant = utc_now(), caller_of_request().tenant
        wait = wanted_wait(request.headers.getlist("Prefer"))
        key = idempotency_key(request.headers.get("Idempotency-Key"))
        if request.mimetype != "application/json":
            raise InvalidRequest("Content-Type must be application/json")
        body = read_body()
        try:
            request_to_send = parts.contract.parse(body, now=now)
        except ComesTooLate:
            once = _answered(tenant.tenant_id, key, body)
            if once is None:
                raise
            return _answer_once(once, wait)
        email = NewEmail(
            email_id=new_email_id(), tenant_id=tenant.tenant_id, request=request_to_send, accepted_at=now
        )
        tenant.check(email.request)
        if email.request.send_at is not None:
            wait = None  # the provider won't have answered by then
        if key is not None:
            return _send_once(_keyed(email, key, body), wait)
        try:
            parts.accept.commit(email, within=COMMIT_WITHIN - time_since_arrival())
        except StoreOutcomeUnknown:
            return answer(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the email may have been accepted; ask /status before sending it again",
                request_id=email.email_id,
            )
        return _answer(email.email_id, wait)

    def _send_once(keyed: KeyedRequest, wait: int | None) -> Response:
        try:
            once = parts.accept_once.commit(keyed, within=COMMIT_WITHIN - time_since_arrival())
        except StoreOutcomeUnknown:  # under which id is not known either
            return answer(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the email may have been accepted; repeat the request with the same Idempotency-Key",
            )
        return _answer_once(once, wait)

    def _answered(tenant_id: str, key: str | None, body: bytes) -> Once | None:
        """What was accepted in time is answered alike when it is repeated later."""
        if key is None:
            return None
        return parts.answered(record_id(tenant_id, key), fingerprint=parts.contract.fingerprint(body))

    def _answer_once(once: Once, wait: int | None) -> Response:
        response = _answer(once.email_ids[0], wait)
        if once.is_replay:
            response.headers["Idempotency-Replay"] = "true"
        return response

    def _keyed(email: NewEmail, key: str, body: bytes) -> KeyedRequest:
        record = KeyRecord(
            record_id=record_id(email.tenant_id, key),
            tenant_id=email.tenant_id,
            fingerprint=parts.contract.fingerprint(body),
            email_ids=(email.email_id,),
            created_at=email.accepted_at,
        )
        return KeyedRequest(record=record, emails=(email,))

    def _answer(email_id: str, wait: int | None) -> Response:
        return accepted(email_id) if wait is None else _after_waiting(email_id, wait)

    def _after_waiting(email_id: str, wait: int) -> Response:
        waited = waits.wait(email_id, within=timedelta(seconds=wait))
        if waited.standing is not None:
            reports = parts.config.provider.reports_deliveries
            response = jsonify(render_status(waited.standing, provider_reports_deliveries=reports))
        else:
            response = accepted(email_id)
        if waited.was_honoured:
            response.headers["Preference-Applied"] = f"wait={wait}"
        return response

    return routes


def accepted(email_id: str) -> Response:
    """202, and where to ask."""
    response = jsonify(status="accepted", request_id=email_id)
    response.status_code = HTTPStatus.ACCEPTED
    response.headers["Location"] = f"/status/{email_id}"
    return response
