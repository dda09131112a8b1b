"""Reads the body of `POST /api/emails`."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

REQUIRED = ("request_id", "sender", "recipient", "message")
LONG_TEXTS = frozenset({"text", "html"})
MORE_RECIPIENTS = ("to", "cc", "bcc")


@dataclass(frozen=True, slots=True)
class SubmissionBody:
    """What the log keeps of a submission; contents are not kept.

    `recipients`: all of them, the first one first. `extra`: the fields beyond the plain contract, long texts
    as their lengths and attachments as their digests; None without any.
    """

    request_id: str
    recipient: str
    message_length: int
    recipients: tuple[str, ...]
    extra: dict[str, object] | None = None


class BodyError(ValueError):
    """A body that breaks the contract: every mistake, one sentence each. `request_id` is "" without one."""

    def __init__(self, mistakes: tuple[str, ...], request_id: str = "") -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes
        self.request_id = request_id


def parse_body(raw: bytes, *, extended: bool) -> SubmissionBody:
    """Exactly the four fields of the contract, all of them text; if `extended`, those of EXTENDED, too.

    Then an email with `html` needs no `message`. Raises BodyError.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BodyError(("body is not JSON",)) from error
    if not isinstance(body, dict):
        raise BodyError(("body is not a JSON object",))
    mistakes = tuple(_mistakes(body, optional=EXTENDED if extended else {}))
    request_id = body.get("request_id")
    if mistakes:
        raise BodyError(mistakes, request_id if isinstance(request_id, str) else "")
    return SubmissionBody(
        body["request_id"],
        body["recipient"],
        len(body.get("message", "")),
        (body["recipient"], *(address for name in MORE_RECIPIENTS for address in body.get(name, ()))),
        _kept({name: value for name, value in body.items() if name not in REQUIRED}) or None,
    )


def _mistakes(body: dict[str, object], *, optional: Mapping[str, Callable[[object], bool]]) -> Iterator[str]:
    needed = [name for name in REQUIRED if name != "message" or "html" not in body or "html" not in optional]
    yield from (f"missing {name}" for name in needed if name not in body)
    yield from (f"unknown field {name}" for name in body if name not in REQUIRED and name not in optional)
    yield from (f"{name} is not text" for name in REQUIRED if not isinstance(body.get(name, ""), str))
    yield from (f"{name} is empty" for name in REQUIRED if body.get(name) == "")
    recipient = body.get("recipient")
    if isinstance(recipient, str) and recipient and "@" not in recipient:
        yield "recipient is not an address"
    yield from (
        f"{name} is not what it must be"
        for name in optional
        if name in body and not optional[name](body[name])
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_addresses(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and "@" in each for each in value)


def _are_headers(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _are_attachments(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and _is_attachment(each) for each in value)


def _is_attachment(value: dict[str, object]) -> bool:
    content = value.get("content")
    if not isinstance(content, str) or not all(isinstance(each, str) for each in value.values()):
        return False
    try:
        base64.b64decode(content, validate=True)
    except (ValueError, binascii.Error):
        return False
    return {"filename", "content"} <= value.keys() <= {"filename", "content", "content_type"}


EXTENDED: Mapping[str, Callable[[object], bool]] = {
    "subject": _is_text,
    "text": _is_text,
    "html": _is_text,
    "sender_name": _is_text,
    "to": _are_addresses,
    "cc": _are_addresses,
    "bcc": _are_addresses,
    "reply_to": _are_addresses,
    "headers": _are_headers,
    "attachments": _are_attachments,
    "in_reply_to": _is_text,
}


def _kept(extra: dict[str, object]) -> dict[str, object]:
    kept: dict[str, object] = {}
    for name, value in extra.items():
        if name in LONG_TEXTS and isinstance(value, str):
            kept[name] = len(value)
        elif name == "attachments" and isinstance(value, list):
            kept[name] = [_digest(each) for each in value]
        else:
            kept[name] = value
    return kept


def _digest(attachment: dict[str, str]) -> dict[str, object]:
    content = base64.b64decode(attachment["content"])
    return {
        "filename": attachment["filename"],
        "content_type": attachment.get("content_type"),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
