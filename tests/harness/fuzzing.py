"""The real app on a real store, called with whatever is drawn: what each way in must bear."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.harness.mangling import HEADERS, mangled
from tests.harness.webhooks import PATH, signature

SECRET = "a-secret"

_PLAIN = {"sender": "shop@example.com", "recipient": "ann@example.com", "message": "Hello"}
_FULL = {
    **_PLAIN,
    "subject": "Hello",
    "text": "Hello",
    "lane": "bulk",
    "priority": 2,
    "send_at": "2026-12-31T12:00:00Z",
    "ttl": 60,
    "on_unknown": "hold",
    "unknown_deadline": 60,
}
_RICH = {
    "to": ["ann@example.com", "bob@example.com"],
    "cc": "cid@example.com",
    "bcc": [],
    "from": "Shop <shop@example.com>",
    "replyTo": ["shop@example.com"],
    "subject": "Hello",
    "html": "<p>Hello</p>",
    "text": "Hello",
    "headers": {"X-Order": "4711"},
    "attachments": [{"filename": "a.txt", "content": "aGVsbG8=", "contentType": "text/plain"}],
    "lane": "standard",
    "priority": 1,
    "expires_at": None,
}
_SIMPLE = {"to": "ann@example.com", "from": "shop@example.com", "subject": "Hello", "text": "Hello"}
_NOTICE = {"email_id": "invoice-4711", "user": "ann@example.com", "subject": "Invoice", "body": "Hello"}
_EVENT = {"ID": "01a201dd-46e8-75da-aeb0-7ae16905b066", "STATUS": "DELIVERED", "x": {"y": [1]}}


@dataclass(frozen=True, slots=True)
class WayIn:
    """A route that takes a body, and what bodies it is given. share: of all inputs, in percent."""

    path: str
    bodies: st.SearchStrategy[bytes]
    share: int
    is_signed: bool = False

    def __str__(self) -> str:
        return f"{self.path} {'bytes' if self.bodies is BYTES else 'mangled'}"


BYTES = st.binary(max_size=200)

WAYS_IN = (
    WayIn("/send", mangled([_PLAIN, _FULL]), 28),
    WayIn("/send", BYTES, 6),
    WayIn("/api/v1/emails", mangled([_SIMPLE, _RICH]), 22),
    WayIn("/api/v1/emails", BYTES, 6),
    WayIn("/api/v1/emails/batch", mangled([_SIMPLE, _RICH], in_a_list=True), 8),
    WayIn("/webhook/email", mangled([_NOTICE]), 6),
    WayIn(PATH, mangled([_EVENT]), 10, is_signed=True),
    WayIn(PATH, BYTES, 4, is_signed=True),
)
"""Nine tenths; the last is what is hardly HTTP, which only a server can be given."""


@dataclass(slots=True)
class Tally:
    """How many inputs were given, and how often each status was the answer."""

    inputs: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


def fuzz(app: Flask, way_in: WayIn, *, inputs: int, tally: Tally) -> None:
    """Call so many times. An AssertionError shows the smallest input that was answered wrongly."""
    call = _caller(app, way_in, tally)
    left = inputs
    while left > 0:  # a run of Hypothesis remembers what it drew, and slows down with it
        _run(call, way_in, min(left, _MOST_IN_A_RUN))
        left = inputs - tally.inputs


_MOST_IN_A_RUN = 2000


def _run(call: Callable[[bytes, dict[str, str]], None], way_in: WayIn, inputs: int) -> None:
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(body=way_in.bodies, headers=HEADERS)
    def run(body: bytes, headers: dict[str, str]) -> None:
        call(body, headers)

    run()


def _caller(app: Flask, way_in: WayIn, tally: Tally) -> Callable[[bytes, dict[str, str]], None]:
    client = app.test_client()

    def call(body: bytes, headers: dict[str, str]) -> None:
        signed = {"X-Signature": signature(body, secret=SECRET)} if way_in.is_signed else {}
        response = client.post(way_in.path, data=body, headers={**headers, **signed})
        tally.inputs += 1
        tally.statuses[response.status_code] += 1
        check_answer(way_in.path, response.status_code, response.mimetype, response.data)

    return call


def check_answer(path: str, status: int, media_type: str | None, body: bytes) -> None:
    """It is one of ours, in JSON, and of the shape that this route's answers have."""
    assert status in (200, 202, 400, 403, 409, 413, 503), (status, body[:500])
    assert media_type == "application/json"
    answer: dict[str, Any] = json.loads(body)
    if status >= 400:
        if path.startswith("/api/v1/"):
            assert answer["error"].keys() == {"code", "message"}
        else:
            assert answer["status"] == ("denied" if status < 500 else "error")
            assert answer["reason"]
