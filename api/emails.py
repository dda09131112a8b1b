"""``POST /api/v1/emails`` and ``POST /api/v1/emails/batch``, as useSend's public API has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify, request

from api.authentication import caller_of_request
from api.bodies import read_body
from api.errors import PUBLIC_API, answer
from api.operations import Answer, Operation, describes
from api.preferences import BatchHeadersSchema, EmailHeadersSchema, idempotency_key, is_permissive
from api.rate_limits import charge_for
from api.sending import COMMIT_WITHIN
from delivery.bootstrap import ApiParts, new_email_id, utc_now
from delivery.contract.emails import BatchAnswerSchema, EmailIdSchema
from delivery.domain.emails import EmailRequest, NewEmail
from delivery.domain.errors import InvalidRequest, PostroomError, StoreOutcomeUnknown
from delivery.domain.idempotency import KeyRecord, RefusedItem, record_id
from delivery.domain.tenants import Tenant
from delivery.use_cases.accept_once import KeyedRequest, Once
from delivery.use_cases.admit_emails import Admission, admit_emails

BATCH_COMMIT_WITHIN = timedelta(seconds=10)
"""A batch is a hundred times the work of an email, and others may stand before it. No single email waits
behind a batch."""

PREFIX = f"{PUBLIC_API}/emails"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """One request: the bodies of its emails, and what they are accepted under.

    fingerprint: None where there is no key. takes_valid: of a batch, the valid emails without the others.
    """

    tenant: Tenant
    at: datetime
    items: Sequence[Any]
    key: str | None
    fingerprint: str | None
    is_batch: bool = False
    takes_valid: bool = False

    @property
    def record_id(self) -> str | None:
        return None if self.key is None else record_id(self.tenant.tenant_id, self.key)


def blueprint(parts: ApiParts) -> Blueprint:
    routes = Blueprint("emails", __name__, url_prefix=PREFIX)
    contract = parts.emails_contract

    @routes.post("")
    @describes(
        Operation(
            summary="Send an email, with all that the mail provider can carry",
            description="As useSend's API has it. Answered as soon as the email is stored for good.",
            body=contract.body,
            examples=contract.examples,
            headers=EmailHeadersSchema,
            answers={HTTPStatus.OK: Answer("accepted", EmailIdSchema, ("Idempotency-Replay",))},
            errors=(HTTPStatus.CONFLICT,),
        )
    )
    def send() -> Response:
        now, tenant, key = utc_now(), caller_of_request().tenant, _key()
        body = contract.read(_body())
        fingerprint = None if key is None else contract.fingerprint(body)
        return _respond(_Given(tenant=tenant, at=now, items=[body], key=key, fingerprint=fingerprint))

    @routes.post("/batch")
    @describes(
        Operation(
            summary="Send up to 100 emails: all of them, or none, or the valid ones",
            body=contract.batch_body,
            examples={"two emails": list(contract.examples.values()) * 2},
            headers=BatchHeadersSchema,
            answers={HTTPStatus.OK: Answer("accepted", BatchAnswerSchema, ("Idempotency-Replay",))},
            errors=(HTTPStatus.CONFLICT,),
        )
    )
    def batch() -> Response:
        now, tenant, key = utc_now(), caller_of_request().tenant, _key()
        takes_valid = is_permissive(request.headers.get("x-batch-validation"))
        items = contract.read_batch(_body())
        charge_for(len(items) - 1)
        fingerprint = None if key is None else contract.batch_fingerprint(items, is_permissive=takes_valid)
        return _respond(
            _Given(
                tenant=tenant,
                at=now,
                items=items,
                key=key,
                fingerprint=fingerprint,
                is_batch=True,
                takes_valid=takes_valid,
            )
        )

    def _respond(given: _Given) -> Response:
        admission = _admit(given)
        once = _answered(given) if admission.refused else None
        if once is None:
            if admission.refused and not given.takes_valid:
                raise _refusal(given, admission)
            emails = _new_emails(given, admission)
            try:
                once = _accept(given, emails, admission)
            except StoreOutcomeUnknown:
                return _perhaps_accepted(emails, is_keyed=given.key is not None)
        response = jsonify(_rendered(once, given))
        if once.is_replay:
            response.headers["Idempotency-Replay"] = "true"
        return response

    def _body() -> bytes:
        if request.mimetype != "application/json":
            raise InvalidRequest("Content-Type must be application/json")
        request.max_content_length = parts.config.api.max_email_body_bytes
        return read_body()

    def _admit(given: _Given) -> Admission:
        def parse(item: Any) -> EmailRequest | InvalidRequest:
            try:
                return contract.parse(item, now=given.at)
            except InvalidRequest as error:
                return error

        return admit_emails(
            [parse(item) for item in given.items], tenant=given.tenant, emails=parts.store.emails
        )

    def _answered(given: _Given) -> Once | None:
        """What was accepted before is answered alike, whatever has come to be wrong with it since."""
        if given.record_id is None or given.fingerprint is None:
            return None
        return parts.answered(given.record_id, fingerprint=given.fingerprint)

    def _accept(given: _Given, emails: Sequence[NewEmail], admission: Admission) -> Once:
        email_ids = tuple(email.email_id for email in emails)
        refused = tuple(RefusedItem(index, str(error)) for index, error in admission.refused.items())
        once = Once(email_ids, is_replay=False, refused=refused)
        if not emails:  # nothing to accept, and so nothing to keep under its key
            return once
        if given.record_id is None or given.fingerprint is None:
            if given.is_batch:
                parts.accept_batch.commit(emails, within=BATCH_COMMIT_WITHIN)
            else:
                parts.accept.commit(emails[0], within=COMMIT_WITHIN)
            return once
        record = KeyRecord(
            record_id=given.record_id,
            tenant_id=given.tenant.tenant_id,
            fingerprint=given.fingerprint,
            email_ids=email_ids,
            created_at=given.at,
            refused=refused,
        )
        keyed = KeyedRequest(record=record, emails=tuple(emails))
        if given.is_batch:
            return parts.accept_batch_once.commit(keyed, within=BATCH_COMMIT_WITHIN)
        return parts.accept_once.commit(keyed, within=COMMIT_WITHIN)

    return routes


def _key() -> str | None:
    return idempotency_key(request.headers.get("Idempotency-Key"))


def _new_emails(given: _Given, admission: Admission) -> list[NewEmail]:
    tenant_id = given.tenant.tenant_id
    return [
        NewEmail(email_id=new_email_id(), tenant_id=tenant_id, request=admitted, accepted_at=given.at)
        for admitted in admission.admitted
    ]


def _refusal(given: _Given, admission: Admission) -> PostroomError:
    """Of all, for the first that is refused."""
    index, error = next(iter(admission.refused.items()))
    return type(error)(f"email {index}: {error}") if given.is_batch else error


def _rendered(once: Once, given: _Given) -> dict[str, Any]:
    if not given.is_batch:
        return {"emailId": once.email_ids[0]}
    answer: dict[str, Any] = {"data": [{"emailId": email_id} for email_id in once.email_ids]}
    if given.takes_valid:
        answer["errors"] = [{"index": item.index, "message": item.reason} for item in once.refused]
    return answer


def _perhaps_accepted(emails: Sequence[NewEmail], *, is_keyed: bool) -> Response:
    if is_keyed:  # under which ids is not known either
        advice = "may have been accepted; repeat the request with the same Idempotency-Key"
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, advice)
    advice = "may have been accepted; look these emailIds up before sending it again"
    return answer(HTTPStatus.SERVICE_UNAVAILABLE, advice, emailIds=[email.email_id for email in emails])
