"""One call over HTTP, tried again where that is safe."""

import os
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from postroom_client.errors import (
    ApiError,
    Conflict,
    InFlight,
    InvalidRequest,
    NoAnswer,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    PostroomError,
    RateLimited,
    ServerError,
    Unavailable,
    UnexpectedAnswer,
)
from postroom_client.retries import Patience, pause_after, read_retry_after

_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequest,
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    405: InvalidRequest,
    408: Unavailable,  # it took too long to get there
    409: Conflict,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
    431: InvalidRequest,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}

_NO_ANSWER = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
"""requests' other errors are about what can't be sent at all, such as a key with a line break."""

_SHORTEST_ATTEMPT = 0.05
"""Seconds. What is left of the time when it is nearly over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """path: below the service's address. body: becomes JSON. may_repeat: twice does no more than once."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    may_repeat: bool


class Transport:
    """For any number of threads and forked processes: each has its connections for itself."""

    def __init__(self, url: str, key: str | None, *, patience: Patience) -> None:
        """Raises ValueError for what is no address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("url must be one such as https://postroom.example")
        self._url = url.rstrip("/")
        self._auth = _Bearer(key)
        self._patience = patience
        self._sessions = threading.local()

    def call(self, call: Call, *, within: float | None = None) -> dict[str, Any]:
        """The answer's JSON. within: seconds for all tries, if not as patience says. Raises PostroomError."""
        ends = time.monotonic() + (self._patience.total if within is None else within)
        tries = 0
        while True:
            tries += 1
            try:
                return self._try(call, left=ends - time.monotonic())
            except PostroomError as error:
                pause = pause_after(
                    tries,
                    patience=self._patience,
                    retry_after=getattr(error, "retry_after", None),
                    share=random.random(),
                )
                if not (call.may_repeat and error.is_passing) or time.monotonic() + pause >= ends:
                    raise
            time.sleep(pause)

    def close(self) -> None:
        """Close this thread's connections."""
        self._session().close()

    def _try(self, call: Call, *, left: float) -> dict[str, Any]:
        try:
            response = self._session().request(
                call.method,
                self._url + call.path,
                json=call.body,
                headers=dict(call.headers),
                auth=self._auth,
                timeout=max(_SHORTEST_ATTEMPT, min(self._patience.attempt, left)),
                allow_redirects=False,  # a POST would become a GET
            )
        except _NO_ANSWER as error:
            raise NoAnswer(f"{call.method} {call.path}: {type(error).__name__}") from error
        if not response.ok or response.is_redirect:
            raise _error(response)
        answer = _object(response)
        if not answer:
            raise UnexpectedAnswer("no JSON object", status=response.status_code, code="UNEXPECTED")
        return answer

    def _session(self) -> requests.Session:
        """A connection that two processes write to would mix up their requests."""
        if getattr(self._sessions, "process", None) != os.getpid():
            self._sessions.process = os.getpid()
            self._sessions.session = requests.Session()
        session: requests.Session = self._sessions.session
        return session


class _Bearer(AuthBase):
    """Also keeps requests from taking a login out of ~/.netrc in the key's place. Shows no key."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _error(response: requests.Response) -> ApiError:
    """The error that an answer is; it may be of either shape that postroom has, or of a proxy."""
    body = _object(response)
    told = body.get("error")
    told = told if isinstance(told, dict) else {}
    status = response.status_code
    retry_after = read_retry_after(response.headers.get("Retry-After"), now=datetime.now(timezone.utc))
    request_id = body.get("request_id", told.get("request_id"))
    return _kind(status, is_in_flight=retry_after is not None)(
        str(told.get("message") or body.get("reason") or response.reason or "no reason given"),
        status=status,
        code=str(told.get("code") or (response.reason or "").upper().replace(" ", "_") or "UNKNOWN"),
        request_id=None if request_id is None else str(request_id),
        retry_after=retry_after,
    )


def _kind(status: int, *, is_in_flight: bool) -> type[ApiError]:
    if status == 409 and is_in_flight:
        return InFlight
    if status >= 500:
        return _BY_STATUS.get(status, ServerError)
    return _BY_STATUS.get(status, UnexpectedAnswer)


def _object(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
