"""Reads the body of `POST /api/emails`."""

import json
from dataclasses import dataclass

REQUIRED = ("request_id", "sender", "recipient", "message")
EXTENDED = ("subject", "text")


@dataclass(frozen=True, slots=True)
class SubmissionBody:
    """What the log keeps of a submission; contents are not kept."""

    request_id: str
    recipient: str
    message_length: int


class BodyError(ValueError):
    """A body that breaks the contract: every mistake, one sentence each. `request_id` is "" without one."""

    def __init__(self, mistakes: tuple[str, ...], request_id: str = "") -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes
        self.request_id = request_id


def parse_body(raw: bytes, *, extended: bool) -> SubmissionBody:
    """Exactly the four fields of the contract, all of them text; `subject` and `text` too if `extended`.

    Raises BodyError.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BodyError(("body is not JSON",)) from error
    if not isinstance(body, dict):
        raise BodyError(("body is not a JSON object",))
    mistakes = _mistakes(body, optional=EXTENDED if extended else ())
    request_id = body.get("request_id")
    if mistakes:
        raise BodyError(mistakes, request_id if isinstance(request_id, str) else "")
    return SubmissionBody(body["request_id"], body["recipient"], len(body["message"]))


def _mistakes(body: dict[str, object], *, optional: tuple[str, ...]) -> tuple[str, ...]:
    missing = [f"missing {name}" for name in REQUIRED if name not in body]
    unknown = [f"unknown field {name}" for name in body if name not in REQUIRED and name not in optional]
    not_text = [f"{name} is not text" for name, value in body.items() if not isinstance(value, str)]
    empty = [f"{name} is empty" for name in REQUIRED if body.get(name) == ""]
    recipient = body.get("recipient")
    bad = (
        ["recipient is not an address"]
        if isinstance(recipient, str) and recipient and "@" not in recipient
        else []
    )
    return (*missing, *unknown, *not_text, *empty, *bad)
