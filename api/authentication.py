"""Who may call what: by API key, or, where there is none at all, from this machine only."""

import ipaddress
import re
import time
from datetime import timedelta

from flask import Flask, g, request

from delivery.domain.errors import NotAllowed, NotAuthenticated
from delivery.domain.tenants import Caller, Scope
from delivery.use_cases.identify_callers import Callers

OPEN_ENDPOINTS = frozenset(
    {
        "health.livez",
        "health.readyz",
        # These say the same to everybody, and nothing of anybody's mail.
        "documentation.document",
        "documentation.page",
        "documentation.asset",
        # These authenticate the provider by its signature or by the token in the path.
        "webhooks.signed",
        "webhooks.with_token",
    }
)

SCOPES = {
    "sending.send": Scope.SEND,
    "email_webhook.accept": Scope.SEND,
    "emails.send": Scope.SEND,
    "emails.batch": Scope.SEND,
    "email_reading.list": Scope.READ,
    "email_reading.get": Scope.READ,
    "email_reading.reschedule": Scope.SEND,
    "email_reading.cancel": Scope.SEND,
    "status.by_query": Scope.READ,
    "status.by_path": Scope.READ,
    "stats.stats": Scope.READ,
}
"""What a key must be for, by endpoint. An endpoint that is in neither table is closed to all."""

_FORWARDING_HEADER = re.compile(
    r"forwarded|via|x-forwarded-.+|x-real-ip|(.+-)?client-ip|cf-connecting-ip", re.IGNORECASE
)
_LOOPBACK_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_LOOPBACK_ORIGIN = re.compile(f"https?://{_LOOPBACK_HOST.pattern}", re.IGNORECASE)


def register(app: Flask, *, callers: Callers) -> None:
    @app.before_request
    def authenticate() -> None:
        g.arrived_at = time.monotonic()
        if request.endpoint in OPEN_ENDPOINTS:
            return
        caller = _identify(callers)
        if request.endpoint is not None:  # else there is no such route, which only a caller may know
            _check(caller, request.endpoint)
        g.caller = caller


def time_since_arrival() -> timedelta:
    """How long the request at hand is being worked on: looking for its key may have taken a while."""
    return timedelta(seconds=time.monotonic() - g.arrived_at)


def caller_of_request() -> Caller:
    """Who makes the request at hand; authenticate() has found out."""
    caller: Caller = g.caller
    return caller


def _identify(callers: Callers) -> Caller:
    token = _token()
    if token or not callers.are_anonymous():
        return callers.with_key(token)
    _require_loopback()
    return callers.without_key()


def _check(caller: Caller, endpoint: str) -> None:
    if endpoint not in SCOPES:
        raise NotAllowed("this route is closed")
    caller.check(SCOPES[endpoint])


def _token() -> str:
    """Raises NotAuthenticated where a request says two different things."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    tokens = {given.strip()} if scheme.lower() == "bearer" else set()
    tokens.update(request.headers.getlist("X-Api-Key"))
    if len(tokens) > 1:
        raise NotAuthenticated("Authorization and X-Api-Key are not the same key")
    return tokens.pop() if tokens else ""


def _require_loopback() -> None:
    """A request that was forwarded comes from somewhere else, whoever handed it over.

    Host and Origin are for browsers on this machine: a page from elsewhere that had its own name resolve to
    127.0.0.1 (DNS rebinding) sends that name as Host, and any page that writes sends its Origin.
    """
    if any(_FORWARDING_HEADER.fullmatch(name) for name in request.headers.keys()):  # noqa: SIM118 - not a dict
        raise NotAllowed("without API keys, forwarded requests are refused")
    try:
        is_local = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise NotAllowed("without API keys, only this machine may call")
    if not _LOOPBACK_HOST.fullmatch(request.headers.get("Host", "")):
        raise NotAllowed("without API keys, the Host must be localhost, 127.0.0.1 or [::1]")
    if not all(_LOOPBACK_ORIGIN.fullmatch(origin) for origin in request.headers.getlist("Origin")):
        raise NotAllowed("without API keys, pages from elsewhere may not call")
