"""``POST /webhook/email``: emails under ids of their caller's own, which are never sent twice."""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from api.authentication import caller_of_request, time_since_arrival
from api.bodies import read_body
from api.errors import answer
from api.operations import Answer, Operation, describes
from api.sending import COMMIT_WITHIN, accepted
from delivery.bootstrap import ApiParts, utc_now
from delivery.contract.answers import AcceptedSchema
from delivery.contract.email_webhook import EmailWebhookContract, check
from delivery.contract.status import StatusSchema, render_status
from delivery.domain.errors import IdReused, InvalidRequest, NotAllowed, StoreOutcomeUnknown
from delivery.use_cases.read_status import read_status


def blueprint(parts: ApiParts) -> Blueprint:
    routes = Blueprint("email_webhook", __name__)
    contract = EmailWebhookContract(carries_subject="subject" in parts.config.provider.extra_fields)

    @routes.post("/webhook/email")
    @describes(
        Operation(
            summary="Send an email under an id of the caller's own, once and for good",
            body=contract.body,
            examples=contract.examples,
            answers={
                HTTPStatus.ACCEPTED: Answer("accepted", AcceptedSchema, ("Location",)),
                HTTPStatus.OK: Answer("it was accepted before; how it stands", StatusSchema),
            },
            errors=(HTTPStatus.CONFLICT,),
        )
    )
    def accept() -> Response:
        if request.mimetype != "application/json":
            raise InvalidRequest("Content-Type must be application/json")
        tenant = caller_of_request().tenant
        email = contract.parse(read_body(), tenant=tenant, now=utc_now())
        try:
            check(email, tenant)
        except NotAllowed:
            if not _is_there(email.email_id, email.content_hash or ""):
                raise
            return _standing(tenant.tenant_id, email.email_id)
        try:
            was_there = parts.accept_named.commit(email, within=COMMIT_WITHIN - time_since_arrival())
        except StoreOutcomeUnknown:
            return answer(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the email may have been accepted; repeat the request with the same email_id",
                request_id=email.email_id,
            )
        return (
            _standing(tenant.tenant_id, email.email_id) if was_there else accepted(email.email_id).response()
        )

    def _is_there(email_id: str, content_hash: str) -> bool:
        """What was accepted when the tenant might send it is answered as before. Raises IdReused."""
        stored = parts.store.emails.content_hashes([email_id]).get(email_id)
        if stored is not None and stored != content_hash:
            raise IdReused
        return stored is not None

    def _standing(tenant_id: str, email_id: str) -> Response:
        standing = read_status(tenant_id, email_id, emails=parts.store.emails)
        reports = parts.config.provider.reports_deliveries
        return jsonify(render_status(standing, provider_reports_deliveries=reports))

    return routes
