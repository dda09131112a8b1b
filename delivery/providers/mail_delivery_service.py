"""The mail delivery service.

``POST /api/emails`` with ``{"request_id", "sender", "recipient", "message"}`` answers 200
``{"STATUS": "ACCEPTED"}`` or 500 ``{"STATUS": "ERROR"}``, normally within 10 s. It reports back with
``{"ID", "STATUS": "DELIVERED|REJECTED|FAILED"}``, signed by HMAC-SHA256 of the raw body in ``X-Signature``.
Where it takes extra fields, an email to several has a report for each, with its address as ``RECIPIENT``.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from marshmallow import ValidationError

from delivery.config_values import ProviderConfig
from delivery.contract.json_bodies import parse_object
from delivery.contract.loading import Loader
from delivery.contract.provider_events import STATUSES, MailDeliveryEventSchema
from delivery.domain.emails import ClaimedEmail
from delivery.domain.errors import InvalidRequest, NotAuthenticated
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.provider_events import ProviderEvent
from delivery.domain.reports import Report
from delivery.domain.unknowns import Found
from delivery.http.calls import HttpCalls
from delivery.http.connection import Body, CallFailed
from delivery.use_cases.ask_about_emails import LookUp

NAME = "mail-delivery-service"

_ENCODED_AT_ONCE = 3 * 16 * 1024  # a multiple of 3: base64 has no padding inside
_MAX_RETRY_AFTER = timedelta(days=1)

_BY_BODY: dict[tuple[int, str], Outcome] = {
    (200, "ACCEPTED"): Outcome.ACCEPTED,
    (201, "ACCEPTED"): Outcome.ACCEPTED,
    (202, "ACCEPTED"): Outcome.ACCEPTED,
    (200, "ERROR"): Outcome.UNAVAILABLE,
    (500, "ERROR"): Outcome.UNAVAILABLE,
}
"""What it says in its own words goes before the status code."""

_BY_STATUS: dict[int, Outcome] = {
    400: Outcome.REJECTED,
    413: Outcome.REJECTED,
    422: Outcome.REJECTED,
    429: Outcome.THROTTLED,
    401: Outcome.MISCONFIGURED,
    403: Outcome.MISCONFIGURED,
    404: Outcome.MISCONFIGURED,
    405: Outcome.MISCONFIGURED,
    408: Outcome.UNAVAILABLE,
    503: Outcome.UNAVAILABLE,
    502: Outcome.UNKNOWN,
    504: Outcome.UNKNOWN,
}

_BY_CLASS: dict[int, Outcome] = {
    2: Outcome.UNKNOWN,  # it took something, but doesn't say what
    3: Outcome.MISCONFIGURED,
    4: Outcome.UNAVAILABLE,  # a definite no that says nothing about this email
    5: Outcome.UNKNOWN,  # a gateway's word: what stands behind it may have accepted
}

_REPORTS: dict[str, Report] = {
    "DELIVERED": Report.DELIVERED,
    "REJECTED": Report.REJECTED,
    "FAILED": Report.FAILED,
}

_FOUND: dict[str, Found] = {
    "ACCEPTED": Found.ACCEPTED,
    "DELIVERED": Found.DELIVERED,
    "REJECTED": Found.REJECTED,
    "FAILED": Found.FAILED,
}

_PAUSE = timedelta(minutes=5)
"""How long a status endpoint that has had enough of us is left alone, when it doesn't say."""


def read_answer(status: int, body: bytes, headers: Mapping[str, str]) -> Answer:
    """What an HTTP answer means. The tables above are the whole rule."""
    said = _status_in(body)
    if said == "ACCEPTED" and status // 100 != 2:
        return Answer(Outcome.UNKNOWN, f"HTTP {status} {said}")  # it contradicts itself
    outcome = _BY_BODY.get((status, said)) or _BY_STATUS.get(status) or _BY_CLASS.get(status // 100)
    return Answer(
        outcome=outcome or Outcome.UNKNOWN,
        detail=f"HTTP {status} {said}".rstrip(),
        retry_after=_retry_after(headers.get("Retry-After")),
    )


def read_look_up(status: int, body: bytes, headers: Mapping[str, str]) -> LookUp:
    """What the status endpoint's answer means. Only its own words are news; 404 alone may be a wrong URL."""
    if status in (403, 429):
        return LookUp(Found.CANT_TELL, pause=_retry_after(headers.get("Retry-After")) or _PAUSE)
    said = _word_in(body)
    if status == 404 and said == "UNKNOWN":
        return LookUp(Found.NEVER_SEEN)
    return LookUp(_FOUND.get(said, Found.CANT_TELL) if status == 200 else Found.CANT_TELL)


def read_failure(failure: CallFailed) -> Answer:
    """What a call that brought no answer means: unknown as soon as a byte of the request may be out."""
    if failure.is_sent:
        return Answer(Outcome.UNKNOWN, f"no answer: {failure}")
    return Answer(Outcome.UNAVAILABLE, f"not connected: {failure}")


class MailDeliveryService:
    """Submits emails. Belongs to one event loop; one pool of connections per process.

    The pool has no limit of its own: submissions have slots and status checks a budget, and neither may wait
    there for the other, after its lease or its turn was looked at.
    """

    def __init__(self, config: ProviderConfig) -> None:
        self._calls = HttpCalls(
            f"{config.url}/api/emails",
            connect_timeout=config.connect_timeout.total_seconds(),
            total_timeout=config.total_timeout.total_seconds(),
        )

    async def close(self) -> None:
        self._calls.close()

    async def look_up(self, email_id: str) -> LookUp:
        """Ask what became of an email. Never raises for what the provider did."""
        try:
            answer = await self._calls.get(f"/{quote(email_id, safe='')}")
        except CallFailed:
            return LookUp(Found.CANT_TELL)
        return read_look_up(answer.status, answer.body, answer.headers)

    async def submit(self, email: ClaimedEmail) -> Answer:
        """Submit once, within the configured deadlines. Never raises for what the provider did."""
        try:
            answer = await self._calls.post_json("", _body(email))
        except CallFailed as failure:
            return read_failure(failure)
        return read_answer(answer.status, answer.body, answer.headers)


def verify(raw: bytes, signature: str | None, *, secrets: tuple[str, ...]) -> None:
    """Check ``X-Signature: sha256=<hex>`` against each secret. Raises NotAuthenticated."""
    given = (signature or "").encode("utf-8", "replace")
    valid = False
    for secret in secrets:
        digest = hmac.digest(secret.encode(), raw, "sha256").hex()
        valid |= hmac.compare_digest(f"sha256={digest}".encode(), given)
    if not valid:
        raise NotAuthenticated("missing or wrong X-Signature")


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_EVENT = Loader(MailDeliveryEventSchema())


def parse_events(raw: bytes) -> list[ProviderEvent]:
    """Parse a webhook's body. Raises InvalidRequest with the reason."""
    parsed = parse_object(raw)
    try:
        _EVENT.load(parsed)
    except ValidationError as error:
        raise InvalidRequest(_fault(error)) from None
    try:
        content = _CANONICAL.encode(parsed).encode()
    except UnicodeEncodeError:
        raise InvalidRequest("body has characters that are not valid Unicode") from None
    return [
        ProviderEvent(
            provider=NAME,
            provider_event_id=hashlib.sha256(content).hexdigest(),
            email_id=parsed["ID"],
            report=_REPORTS[parsed["STATUS"]],
            raw=content.decode(),
            recipient=parsed.get("RECIPIENT"),
        )
    ]


def _fault(error: ValidationError) -> str:
    faults = error.messages_dict
    if "ID" in faults:
        return "missing or wrong ID field"
    if "RECIPIENT" in faults:
        return "wrong RECIPIENT field"
    return f"STATUS must be one of {', '.join(STATUSES)}"


def _submission(email: ClaimedEmail) -> dict[str, Any]:
    """All but the attachments."""
    content = email.content
    submission: dict[str, Any] = {
        "request_id": email.email_id,
        "sender": content.sender,
        "recipient": content.recipient,
    }
    if content.message:
        submission["message"] = content.message
    extra = {
        "subject": content.subject,
        "text": content.text,
        "html": content.html,
        "sender_name": content.sender_name,
        "to": content.to,
        "cc": content.cc,
        "bcc": content.bcc,
        "reply_to": content.reply_to,
        "headers": dict(content.headers),
        "in_reply_to": content.in_reply_to,
    }
    return submission | {name: value for name, value in extra.items() if value}


def _body(email: ClaimedEmail) -> bytes | Body:
    """The request's body. Attachments are encoded piece by piece, as they leave."""
    if not email.attached:
        return json.dumps(_submission(email)).encode()
    frames = list(_frames(email))
    size = sum(len(text) + 4 * -(-len(body) // 3) for text, body in frames)
    return Body(size, _encoded(frames))


def _frames(email: ClaimedEmail) -> Iterator[tuple[bytes, bytes]]:
    """The body as pairs of JSON text, and bytes to be put behind it in base64."""
    text = json.dumps(_submission(email))[:-1] + ', "attachments": ['
    for attachment, body in zip(email.content.attachments, email.attached, strict=True):
        named = {"filename": attachment.filename}
        if attachment.content_type is not None:
            named["content_type"] = attachment.content_type
        yield (text + json.dumps(named)[:-1] + ', "content": "').encode(), body
        text = '"}, '
    yield b'"}]}', b""


def _encoded(frames: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    for text, body in frames:
        yield text
        for start in range(0, len(body), _ENCODED_AT_ONCE):
            yield base64.b64encode(body[start : start + _ENCODED_AT_ONCE])


def _status_in(body: bytes) -> str:
    """The STATUS that a submission's answer gives, when it is one of its own words; else nothing."""
    said = _word_in(body)
    return said if said in ("ACCEPTED", "ERROR") else ""


def _word_in(body: bytes) -> str:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    said = parsed.get("STATUS") if isinstance(parsed, dict) else None
    return said if isinstance(said, str) else ""


def _retry_after(value: str | None) -> timedelta | None:
    """Seconds, as RFC 9110 section 10.2.3 has it; a date is not something this provider sends."""
    if value is None or not value.isascii() or not value.isdigit():
        return None
    return min(timedelta(seconds=int(value[:9])), _MAX_RETRY_AFTER)
