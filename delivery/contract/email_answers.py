"""What ``GET /api/v1/emails/<id>`` and ``GET /api/v1/emails`` answer: as useSend, and ours beside it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from marshmallow import Schema, fields, validate

from delivery.contract.cursors import write_cursor
from delivery.domain.emails import Content
from delivery.domain.lanes import Lane
from delivery.domain.readings import EmailPage, EmailReading, Moment
from delivery.domain.recipients import recipient_states
from delivery.domain.states import State

TEAM = 1
"""useSend's teams have numbers. Ours are tenants, by name: ``tenantId``."""

S = State

STATUSES: dict[State, str] = {
    S.SCHEDULED: "SCHEDULED",
    S.QUEUED: "QUEUED",
    S.SUBMITTING: "QUEUED",
    S.RETRYING: "DELIVERY_DELAYED",
    S.UNCONFIRMED: "DELIVERY_DELAYED",
    S.SUBMITTED: "SENT",
    S.DELIVERED: "DELIVERED",
    S.BOUNCED: "BOUNCED",
    S.COMPLAINED: "COMPLAINED",
    S.REJECTED: "REJECTED",
    S.FAILED: "FAILED",
    S.DEAD: "FAILED",
    S.HELD: "FAILED",
    S.EXPIRED: "FAILED",
    S.SUPPRESSED: "SUPPRESSED",
    S.CANCELED: "CANCELLED",
}
"""What useSend calls our states."""

_BY_REPORTS = frozenset({S.DELIVERED, S.BOUNCED, S.COMPLAINED})
"""States into which an email to several comes by what was reported of some."""

_STATUS = validate.OneOf(sorted(set(STATUSES.values())))
_STATE = validate.OneOf([state.value for state in State])


class EmailEventSchema(Schema):
    """data: our ``state``, and ``detail`` where there is one."""

    email_id = fields.UUID(data_key="emailId", required=True)
    status = fields.String(required=True, validate=_STATUS)
    created_at = fields.AwareDateTime(data_key="createdAt", required=True)
    data = fields.Dict(keys=fields.String(), values=fields.String())


class NamedAttachmentSchema(Schema):
    filename = fields.String(required=True)
    size = fields.Integer(required=True, metadata={"description": "bytes"})
    content_type = fields.String(data_key="contentType")


class ListedEmailSchema(Schema):
    """useSend's fields, then ours. html and text are null on a list: get the email to read them."""

    id = fields.UUID(required=True)
    team_id = fields.Integer(
        data_key="teamId", required=True, metadata={"description": "always 1; ours is tenantId"}
    )
    to = fields.List(fields.String(), required=True)
    cc = fields.List(fields.String(), required=True)
    bcc = fields.List(fields.String(), required=True)
    reply_to = fields.List(fields.String(), data_key="replyTo", required=True)
    sender = fields.String(required=True, data_key="from")
    subject = fields.String(required=True)
    html = fields.String(required=True, allow_none=True)
    text = fields.String(required=True, allow_none=True)
    created_at = fields.AwareDateTime(data_key="createdAt", required=True)
    updated_at = fields.AwareDateTime(data_key="updatedAt", required=True)
    scheduled_at = fields.AwareDateTime(data_key="scheduledAt", required=True, allow_none=True)
    latest_status = fields.String(data_key="latestStatus", required=True, validate=_STATUS)
    domain_id = fields.Integer(
        data_key="domainId", required=True, allow_none=True, metadata={"description": "always null"}
    )
    tenant_id = fields.String(data_key="tenantId", required=True)
    state = fields.String(required=True, validate=_STATE)
    lane = fields.String(required=True, validate=validate.OneOf([lane.value for lane in Lane]))
    attempts = fields.Integer(required=True)
    reason = fields.String(metadata={"description": "why it failed"})
    in_reply_to_id = fields.UUID(data_key="inReplyToId")
    attachments = fields.List(fields.Nested(NamedAttachmentSchema))


class RecipientSchema(Schema):
    """What became of an email for one of its several recipients."""

    email = fields.String(required=True)
    status = fields.String(required=True, validate=_STATUS)
    reported_at = fields.AwareDateTime(data_key="reportedAt", required=True, allow_none=True)


class EmailReadingSchema(ListedEmailSchema):
    """One email, whole."""

    recipients = fields.List(
        fields.Nested(RecipientSchema),
        required=True,
        metadata={"description": "in to, cc and bcc, in this order, each with what was reported of it"},
    )
    headers = fields.Dict(keys=fields.String(), values=fields.String())
    email_events = fields.List(fields.Nested(EmailEventSchema), data_key="emailEvents", required=True)


class EmailListSchema(Schema):
    """count: how many match, of the newest ones, which were looked at."""

    data = fields.List(fields.Nested(ListedEmailSchema), required=True)
    count = fields.Integer(required=True)
    next_cursor = fields.String(
        data_key="nextCursor",
        required=True,
        allow_none=True,
        metadata={"description": "for the next page; null if there is none. A page may be short, or empty"},
    )


def render_email(email: EmailReading) -> dict[str, Any]:
    """Whole, with its events from the acceptance on."""
    content = email.content
    rendered = {**_rendered(email), "html": content.html, "text": content.message or content.text or None}
    if content.headers:
        rendered["headers"] = dict(content.headers)
    rendered["recipients"] = list(_recipients(email))
    rendered["emailEvents"] = [
        _event(email.standing.email_id, moment) for moment in (_acceptance(email), *email.history)
    ]
    return rendered


def render_page(page: EmailPage) -> dict[str, Any]:
    return {
        "data": [{**_rendered(email), "html": None, "text": None} for email in page.emails],
        "count": page.count,
        "nextCursor": None if page.next is None else write_cursor(page.next),
    }


def _rendered(email: EmailReading) -> dict[str, Any]:
    standing, content = email.standing, email.content
    return {
        "id": standing.email_id,
        "teamId": TEAM,
        "to": [content.recipient, *content.to],
        "cc": list(content.cc),
        "bcc": list(content.bcc),
        "replyTo": list(content.reply_to),
        "from": _mailbox(content),
        "subject": content.subject or "",
        "createdAt": _time(standing.accepted_at),
        "updatedAt": _time(standing.updated_at),
        "scheduledAt": None if standing.send_at is None else _time(standing.send_at),
        "latestStatus": STATUSES[standing.state],
        "domainId": None,
        "tenantId": standing.tenant_id,
        "state": standing.state.value,
        "lane": standing.lane.value,
        "attempts": standing.attempts,
        **dict(_optional(email)),
    }


def _recipients(email: EmailReading) -> Iterator[dict[str, Any]]:
    """Of whom nothing was reported, for them it stands as the email does, unless that stands by reports."""
    standing = email.standing
    reports = recipient_states(standing.recipients, standing.reported)
    unreported = S.SUBMITTED if reports and standing.state in _BY_REPORTS else standing.state
    for address, report in zip(email.content.recipients, reports or (None,), strict=True):
        yield {
            "email": address,
            "status": STATUSES[unreported if report is None else State(report.report.value)],
            "reportedAt": None if report is None else _time(report.at),
        }


def _optional(email: EmailReading) -> Iterator[tuple[str, Any]]:
    content = email.content
    if email.standing.reason is not None:
        yield "reason", email.standing.reason
    if content.in_reply_to is not None:
        yield "inReplyToId", content.in_reply_to
    if content.attachments:
        named = [
            {"filename": each.filename, "size": each.size, "contentType": each.content_type}
            for each in content.attachments
        ]
        yield "attachments", [{k: v for k, v in each.items() if v is not None} for each in named]


def _acceptance(email: EmailReading) -> Moment:
    """What no history says, because every email begins so."""
    state = State.QUEUED if email.standing.send_at is None else State.SCHEDULED
    return Moment(state=state, at=email.standing.accepted_at)


def _event(email_id: str, moment: Moment) -> dict[str, Any]:
    detail = {} if moment.detail is None else {"detail": moment.detail}
    return {
        "emailId": email_id,
        "status": STATUSES[moment.state],
        "createdAt": _time(moment.at),
        "data": {"state": moment.state.value, **detail},
    }


def _mailbox(content: Content) -> str:
    """``Name <address>``, RFC 5322 section 3.4; a name that has special characters is quoted."""
    if content.sender_name is None:
        return content.sender
    quoted = content.sender_name.replace("\\", "\\\\").replace('"', '\\"')
    is_plain = not any(char in '()<>[]:;@\\,."' for char in content.sender_name)
    return f"{content.sender_name} <{content.sender}>" if is_plain else f'"{quoted}" <{content.sender}>'


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
