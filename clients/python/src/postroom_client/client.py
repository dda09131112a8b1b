"""``Postroom``: the API of postroom as Python."""

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

from postroom_client.emails import Batch, Email, EmailState, Json, in_utc, read_batch
from postroom_client.errors import NotFinal, PostroomError, UnexpectedAnswer
from postroom_client.retries import Patience
from postroom_client.transport import Call, Transport

_EMAILS = "/api/v1/emails"

_FIRST_LOOK, _LONGEST_WAIT = 0.1, 2.0
"""Seconds between two looks at an email that is awaited: these at first, half as much again each time."""

_LONGEST_KEY = 256

_UNDER_WAY = "processing"
"""What GET /status says of an email that has not come to its end."""

T = TypeVar("T")


class Postroom:
    """A client of one postroom, with one key. For any number of threads and processes.

    url: without path, such as https://postroom.example. key: None only where postroom takes callers without.
    """

    def __init__(self, url: str, key: str | None = None, *, patience: Patience | None = None) -> None:
        self._transport = Transport(url, key, patience=patience or Patience())
        self.emails = Emails(self._transport)

    def __enter__(self) -> "Postroom":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close this thread's connections."""
        self._transport.close()


class Emails:
    """Every method raises ApiError where postroom says no, and NoAnswer where it says nothing."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def send(self, email: Email, *, idempotency_key: str | None = None) -> str:
        """Hand over an email and return its id.

        What fails in passing is tried again, under the same key: there is one email at most. Without a key of
        the caller's one is made up, which an error has in its ``idempotency_key``. A key of your own, such as
        an order's number, holds across crashes of your program, too; postroom knows it for 24 hours.
        """
        call = _sending(_EMAILS, email.as_json(), key=idempotency_key)
        return self._hand_over(call, lambda answer: str(answer["emailId"]))

    def batch(
        self, emails: Sequence[Email], *, idempotency_key: str | None = None, permissive: bool = False
    ) -> Batch:
        """Hand over up to 100 emails, under one key as in send().

        If one of them can't be taken, none is: InvalidRequest. If permissive, the others are.
        """
        body = [email.as_json() for email in emails]
        headers = {"x-batch-validation": "permissive"} if permissive else {}
        call = _sending(f"{_EMAILS}/batch", body, key=idempotency_key, headers=headers)
        return self._hand_over(call, lambda answer: read_batch(answer, count=len(emails)))

    def get(self, email_id: str) -> EmailState:
        """Where the email stands now."""
        call = Call(method="GET", path=_path(email_id), may_repeat=True)
        return _read(self._transport.call(call), _state)

    def wait_until_final(self, email_id: str, timeout: float = 60.0) -> EmailState:
        """Wait, at most timeout seconds, until the email came to its end, sent or not. Raises NotFinal.

        An email whose provider tells nothing of deliveries is at its end when the provider has taken it.
        """
        ends = time.monotonic() + timeout
        pause, state = _FIRST_LOOK, None
        while True:
            try:
                status, state = self._look(email_id, within=max(0.0, ends - time.monotonic()))
            except PostroomError as error:
                if state is None or not error.is_passing:
                    raise
                raise NotFinal(email_id, state) from error
            if status != _UNDER_WAY:
                return self.get(email_id)
            if time.monotonic() + pause >= ends:
                raise NotFinal(email_id, state)
            time.sleep(pause * random.uniform(0.8, 1.0))
            pause = min(_LONGEST_WAIT, pause * 1.5)

    def cancel(self, email_id: str) -> None:
        """Keep it from being sent. Raises ApiError if that is too late. Twice is as good as once."""
        self._transport.call(Call(method="POST", path=f"{_path(email_id)}/cancel", body={}, may_repeat=True))

    def reschedule(self, email_id: str, scheduled_at: datetime) -> None:
        """Send a scheduled email at another time. Raises ApiError if it is on its way.

        Tried once: after a lost answer nobody else's later change must be undone.
        """
        body = {"scheduledAt": in_utc(scheduled_at)}
        self._transport.call(Call(method="PATCH", path=_path(email_id), body=body, may_repeat=False))

    def _hand_over(self, call: Call, read: Callable[[Json], T]) -> T:
        """Whoever hears an error knows under which key to ask again."""
        try:
            return _read(self._transport.call(call), read)
        except PostroomError as error:
            error.idempotency_key = call.headers["Idempotency-Key"]
            raise

    def _look(self, email_id: str, *, within: float) -> tuple[str, str]:
        """postroom's summary of where the email stands, and its exact state."""
        call = Call(method="GET", path=f"/status/{quote(email_id, safe='')}", may_repeat=True)
        answer = self._transport.call(call, within=within)
        return _read(answer, lambda answer: (str(answer["status"]), str(answer["detail"])))


def _sending(path: str, body: Any, *, key: str | None, headers: Mapping[str, str] | None = None) -> Call:
    """key: made up if None. Raises ValueError for one that postroom would not take."""
    key = uuid.uuid4().hex if key is None else key
    if not 1 <= len(key) <= _LONGEST_KEY or not (key.isascii() and key.isprintable()) or key != key.strip():
        raise ValueError(f"idempotency_key must be 1 to {_LONGEST_KEY} printable characters of ASCII")
    named = {**(headers or {}), "Idempotency-Key": key}
    return Call(method="POST", path=path, body=body, headers=named, may_repeat=True)


def _path(email_id: str) -> str:
    return f"{_EMAILS}/{quote(email_id, safe='')}"


def _state(answer: Json) -> EmailState:
    return EmailState(
        email_id=str(answer["id"]),
        state=str(answer["state"]),
        status=str(answer["latestStatus"]),
        answer=answer,
    )


def _read(answer: Json, read: Callable[[Json], T]) -> T:
    try:
        return read(answer)
    except (LookupError, TypeError, ValueError) as error:
        raise UnexpectedAnswer(
            f"an answer of another shape: {error!r}", status=200, code="UNEXPECTED"
        ) from error
