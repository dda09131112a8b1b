"""Between the email's values and its document."""

import hmac
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from delivery.domain.emails import Attachment, ClaimedEmail, Content, NewEmail, Standing
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, OwedTo
from delivery.domain.questions import Question
from delivery.domain.readings import EmailReading, Moment
from delivery.domain.recipients import RecipientReport
from delivery.domain.reports import Report
from delivery.domain.states import State
from delivery.store.client import Document

HISTORY_LENGTH = 50
"""The newest entries that an email's history keeps; more would let one email's document grow for ever."""

_OWED = "tenant_id lane priority gen owed due_at attempts waits accepted_at updated_at reason last_error"
OWED_FIELDS = dict.fromkeys(_OWED.split(), 1)

_STANDING = "tenant_id lane state gen attempts calls accepted_at updated_at due_at send_at expires_at reason"
_STANDING_AT_TIMES = ["may_be_sent", "unreported", "recipient_hashes", "reported"]
STANDING_FIELDS = dict.fromkeys([*_STANDING.split(), *_STANDING_AT_TIMES], 1)

_CONTENT_FIELDS = tuple(field.name for field in fields(Content))
_content_values = attrgetter(*_CONTENT_FIELDS)

_QUESTION_FIELDS = tuple(field.name for field in fields(Question))
_question_values = attrgetter(*_QUESTION_FIELDS)

_ADDRESS_LISTS = ("to", "cc", "bcc", "reply_to")

_LANES = {lane.value: lane for lane in Lane}
_STATES = {state.value: state for state in State}
"""Looking up is faster than making one, and there is one in every document that is read."""


def hash_recipient(recipient: str, *, key: bytes) -> str:
    """The keyed hash by which emails to an address are found; the address itself is no lookup key."""
    return hmac.digest(key, recipient.strip().lower().encode(), "sha256").hex()


def hash_recipients(content: Content, *, key: bytes) -> list[str]:
    """In the order of ``content.recipients``."""
    return [hash_recipient(recipient, key=key) for recipient in content.recipients]


def new_document(email: NewEmail, *, hash_key: bytes) -> Document:
    request, now = email.request, email.accepted_at
    is_scheduled = request.send_at is not None
    document: Document = {
        "_id": email.email_id,
        "tenant_id": email.tenant_id,
        "lane": request.lane.value,
        "priority": request.priority,
        "content": content_document(request.content),
        "recipient_hash": hash_recipient(request.content.recipient, key=hash_key),
        "state": (State.SCHEDULED if is_scheduled else State.QUEUED).value,
        "gen": 1,
        "attempts": 0,
        "calls": 0,
        "waits": 0,
        "accepted_at": now,
        "updated_at": now,
        "waiting_since": now,
        "due_at": request.send_at or now,
        "history": [],
    }
    if is_scheduled:
        document["send_at"] = request.send_at
        document["scheduled"] = {"at": request.send_at}
    else:
        document["owed"] = owed_document(OwedTo.LANE, gen=1, at=now)
    if request.expires_at is not None:
        document["expires_at"] = request.expires_at
    if request.on_unknown is not None:
        document["on_unknown"] = request.on_unknown.value
    if request.unknown_deadline is not None:
        document["unknown_deadline_s"] = int(request.unknown_deadline.total_seconds())
    if email.content_hash is not None:
        document["content_hash"] = email.content_hash
    if len(request.content.recipients) > 1:
        document["recipient_hashes"] = hash_recipients(request.content, key=hash_key)
        document["reports"] = 0
    return document


def content_document(content: Content) -> Document:
    """Only what there is of it."""
    document = {
        name: value
        for name, value in zip(_CONTENT_FIELDS, _content_values(content), strict=True)
        if value is not None and value != ()
    }
    if content.attachments:
        document["attachments"] = [asdict(attachment) for attachment in content.attachments]
    return document


def content_of(document: Document) -> Content:
    values = dict(document)
    for name in _ADDRESS_LISTS:
        if name in values:
            values[name] = tuple(values[name])
    if "headers" in values:
        values["headers"] = tuple((name, value) for name, value in values["headers"])
    if "attachments" in values:
        values["attachments"] = tuple(Attachment(**each) for each in values["attachments"])
    return Content(**values)


def owed_document(to: OwedTo, *, gen: int, at: datetime) -> Document:
    return {"to": to.value, "gen": gen, "at": at}


def question_document(question: Question) -> Document:
    """Times that never come are left out, so that the partial indexes hold only what is to be done."""
    values = zip(_QUESTION_FIELDS, _question_values(question), strict=True)
    document = {name: value for name, value in values if value is not None}
    document["about"] = question.about.value
    return document


def history_entry(state: State, *, at: datetime, detail: str | None = None) -> dict[str, Any]:
    """The ``$push`` that adds one line to an email's history."""
    entry: Document = {"state": state.value, "at": at}
    if detail is not None:
        entry["detail"] = detail
    return {"history": {"$each": [entry], "$slice": -HISTORY_LENGTH}}


def owed_of(document: Document) -> OwedEmail:
    debt = document["owed"]
    to = OwedTo(debt["to"])
    return OwedEmail(
        email_id=document["_id"],
        tenant_id=document["tenant_id"],
        gen=document["gen"],
        to=to,
        lane=_LANES[document["lane"]],
        priority=document["priority"],
        due_at=document["due_at"],
        attempts=document["attempts"],
        waits=document["waits"],
        accepted_at=document["accepted_at"],
        since=debt["at"],
        died_at=document["updated_at"] if to in (OwedTo.DEAD, OwedTo.HELD) else None,
        reason=document.get("reason"),
        last_error=document.get("last_error"),
    )


def claimed_of(document: Document) -> ClaimedEmail:
    return ClaimedEmail(
        email_id=document["_id"],
        tenant_id=document["tenant_id"],
        lane=_LANES[document["lane"]],
        priority=document["priority"],
        content=content_of(document["content"]),
        gen=document["gen"],
        token=document["claim"]["token"],
        attempts=document["attempts"],
        calls=document["calls"],
        waits=document["waits"],
        accepted_at=document["accepted_at"],
        claimed_at=document["claim"]["at"],
        due_at=document["due_at"],
        unknown_deadline=_seconds(document.get("unknown_deadline_s")),
        waiting_since=document["waiting_since"],
        expires_at=document.get("expires_at"),
    )


def standing_of(document: Document) -> Standing:
    return Standing(
        email_id=document["_id"],
        tenant_id=document["tenant_id"],
        lane=_LANES[document["lane"]],
        state=_STATES[document["state"]],
        gen=document["gen"],
        attempts=document["attempts"],
        calls=document["calls"],
        accepted_at=document["accepted_at"],
        updated_at=document["updated_at"],
        due_at=document["due_at"],
        send_at=document.get("send_at"),
        expires_at=document.get("expires_at"),
        may_be_sent=document.get("may_be_sent", False),
        reason=document.get("reason"),
        is_unreported=document.get("unreported", False),
        recipients=tuple(document.get("recipient_hashes", ())),
        reported=tuple(recipient_report_of(item) for item in document.get("reported", ())),
    )


def reading_of(document: Document) -> EmailReading:
    """Also where its texts and its history were not asked for."""
    return EmailReading(
        standing=standing_of(document),
        content=content_of({"message": "", **document["content"]}),
        history=tuple(_moment(entry) for entry in document.get("history", ())),
    )


def _moment(entry: Document) -> Moment:
    return Moment(state=State(entry["state"]), at=entry["at"], detail=entry.get("detail"))


def recipient_report_of(document: Document) -> RecipientReport:
    return RecipientReport(
        recipient=document["recipient"], report=Report(document["report"]), at=document["at"]
    )


def _seconds(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)
