"""``POST /send``"""

from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from api.authentication import caller_of_request, time_since_arrival
from api.bodies import read_body
from api.errors import refusal
from api.new_emails import keyed_request, new_email
from api.operations import Answer, Operation, describes
from api.preferences import SendHeadersSchema, idempotency_key, wanted_wait
from api.told import Told
from api.waiting import OutcomeWaits
from delivery.bootstrap import ApiParts, utc_now
from delivery.contract.answers import AcceptedSchema
from delivery.contract.status import StatusSchema, render_status
from delivery.domain.errors import ComesTooLate, InvalidRequest, StoreOutcomeUnknown
from delivery.domain.idempotency import record_id
from delivery.use_cases.accept_once import KeyedRequest, Once

PATH = "/send"

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

    @routes.post(PATH)
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
            email = new_email(parts.contract, body, tenant=tenant, now=now)
        except ComesTooLate:
            once = _answered(tenant.tenant_id, key, body)
            if once is None:
                raise
            return _answer_once(once, wait)
        if email.request.send_at is not None:
            wait = None  # the provider won't have answered by then
        if key is not None:
            return _send_once(keyed_request(parts.contract, body, email=email, key=key), wait)
        try:
            parts.accept.commit(email, within=COMMIT_WITHIN - time_since_arrival())
        except StoreOutcomeUnknown:
            return may_be_accepted(email.email_id).response()
        return _answer(email.email_id, wait)

    def _send_once(keyed: KeyedRequest, wait: int | None) -> Response:
        try:
            once = parts.accept_once.commit(keyed, within=COMMIT_WITHIN - time_since_arrival())
        except StoreOutcomeUnknown:
            return may_be_accepted_once().response()
        return _answer_once(once, wait)

    def _answered(tenant_id: str, key: str | None, body: bytes) -> Once | None:
        """What was accepted in time is answered alike when it is repeated later."""
        if key is None:
            return None
        return parts.answered(record_id(tenant_id, key), fingerprint=parts.contract.fingerprint(body))

    def _answer_once(once: Once, wait: int | None) -> Response:
        response = _answer(once.email_ids[0], wait)
        response.headers.update(replay_headers(once))
        return response

    def _answer(email_id: str, wait: int | None) -> Response:
        return accepted(email_id).response() if wait is None else _after_waiting(email_id, wait)

    def _after_waiting(email_id: str, wait: int) -> Response:
        waited = waits.wait(email_id, within=timedelta(seconds=wait))
        if waited.standing is not None:
            reports = parts.config.provider.reports_deliveries
            response = jsonify(render_status(waited.standing, provider_reports_deliveries=reports))
        else:
            response = accepted(email_id).response()
        if waited.was_honoured:
            response.headers["Preference-Applied"] = f"wait={wait}"
        return response

    return routes


def accepted(email_id: str) -> Told:
    """And where to ask."""
    body = {"status": "accepted", "request_id": email_id}
    return Told(HTTPStatus.ACCEPTED, body, {"Location": f"/status/{email_id}"})


def accepted_once(once: Once) -> Told:
    told = accepted(once.email_ids[0])
    return replace(told, headers={**told.headers, **replay_headers(once)})


def replay_headers(once: Once) -> dict[str, str]:
    return {"Idempotency-Replay": "true"} if once.is_replay else {}


def may_be_accepted(email_id: str) -> Told:
    return refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the email may have been accepted; ask /status before sending it again",
        path=PATH,
        request_id=email_id,
    )


def may_be_accepted_once() -> Told:
    """Under which id is not known either."""
    return refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the email may have been accepted; repeat the request with the same Idempotency-Key",
        path=PATH,
    )
