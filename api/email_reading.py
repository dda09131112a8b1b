"""``/api/v1/emails/<id>`` and the list of emails: reading, rescheduling, canceling, as useSend has them."""

from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

from flask import Blueprint, Response, jsonify, request

from api.authentication import caller_of_request
from api.bodies import read_body
from api.emails import PREFIX
from api.operations import Answer, Operation, describes
from delivery.bootstrap import ApiParts, utc_now
from delivery.contract.email_answers import EmailListSchema, EmailReadingSchema, render_email, render_page
from delivery.contract.email_queries import (
    EmailIdPathSchema,
    ListQuerySchema,
    RescheduleSchema,
    parse_list_query,
    parse_reschedule,
)
from delivery.contract.emails import EmailIdSchema
from delivery.domain.errors import InvalidRequest
from delivery.use_cases.cancel_email import cancel_email
from delivery.use_cases.list_emails import list_emails
from delivery.use_cases.read_email import read_email
from delivery.use_cases.reschedule_email import reschedule_email

_TOO_LATE_OR_UNKNOWN = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)

_LIST = Operation(
    summary="Emails, the newest first",
    description="A page may have fewer emails than its limit, and even none, while nextCursor is not null: a "
    "request looks at no more than 5,000 emails. Pages by number shift while emails come in; cursors don't.",
    query=ListQuerySchema,
    answers={HTTPStatus.OK: Answer("a page", EmailListSchema)},
    errors=(HTTPStatus.BAD_REQUEST,),
)
_GET = Operation(
    summary="An email, and what happened to it",
    path=EmailIdPathSchema,
    answers={HTTPStatus.OK: Answer("the email", EmailReadingSchema)},
    errors=(HTTPStatus.NOT_FOUND,),
)
_CANCEL = Operation(
    summary="Take an email back",
    description="An email that is canceled is never sent. One that is, or may be, in the provider's hands "
    "can't be canceled any more. Canceling it twice is fine.",
    path=EmailIdPathSchema,
    answers={HTTPStatus.OK: Answer("it is canceled", EmailIdSchema)},
    errors=_TOO_LATE_OR_UNKNOWN,
)


def blueprint(parts: ApiParts) -> Blueprint:
    routes = Blueprint("email_reading", __name__, url_prefix=PREFIX)
    store = parts.store
    next_month = (utc_now() + timedelta(days=30)).isoformat(timespec="seconds")

    @routes.get("", endpoint="list")
    @describes(_LIST)
    def list_them() -> Response:
        wanted, part = parse_list_query(request.args.to_dict(flat=False))
        page = list_emails(
            _tenant_id(), wanted, part, emails=store.readings, keys=store.idempotency_keys, now=utc_now()
        )
        return jsonify(render_page(page))

    @routes.get("/<uuid:email_id>")
    @describes(_GET)
    def get(email_id: UUID) -> Response:
        return jsonify(render_email(read_email(_tenant_id(), str(email_id), emails=store.readings)))

    @routes.patch("/<uuid:email_id>")
    @describes(
        Operation(
            summary="Send a scheduled email at another time",
            path=EmailIdPathSchema,
            body=RescheduleSchema,
            examples={"another time": {"scheduledAt": next_month}},
            answers={HTTPStatus.OK: Answer("it is rescheduled", EmailIdSchema)},
            errors=_TOO_LATE_OR_UNKNOWN,
        )
    )
    def reschedule(email_id: UUID) -> Response:
        now = utc_now()
        if request.mimetype != "application/json":
            raise InvalidRequest("Content-Type must be application/json")
        reschedule_email(
            _tenant_id(),
            str(email_id),
            send_at=parse_reschedule(read_body(), now=now),
            emails=store.emails,
            scheduled=store.scheduled,
            now=now,
        )
        return jsonify(emailId=str(email_id))

    @routes.post("/<uuid:email_id>/cancel")
    @describes(_CANCEL)
    def cancel(email_id: UUID) -> Response:
        happening = cancel_email(
            _tenant_id(),
            str(email_id),
            emails=store.emails,
            scheduled=store.scheduled,
            now=utc_now(),
        )
        if happening is not None:
            store.count([happening])
        return jsonify(emailId=str(email_id))

    return routes


def _tenant_id() -> str:
    return caller_of_request().tenant.tenant_id
