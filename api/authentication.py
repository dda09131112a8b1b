"""Who may call what: by API key, or, where there is none at all, from this machine only."""

import ipaddress
import re
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import lru_cache

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
    headers = request.headers
    token = token_in(headers.get("Authorization", ""), headers.getlist("X-Api-Key"))
    if token or not callers.are_anonymous():
        return callers.with_key(token)
    require_loopback(
        remote=request.remote_addr or "",
        host=headers.get("Host", ""),
        origins=headers.getlist("Origin"),
        names=headers.keys(),
    )
    return callers.without_key()


def _check(caller: Caller, endpoint: str) -> None:
    if endpoint not in SCOPES:
        raise NotAllowed("this route is closed")
    caller.check(SCOPES[endpoint])


def token_in(authorization: str, api_keys: Sequence[str]) -> str:
    """The key that a request names in its headers; empty where there is none.

    Raises NotAuthenticated where it says two different things.
    """
    scheme, _, given = authorization.partition(" ")
    tokens = {given.strip()} if scheme.lower() == "bearer" else set()
    tokens.update(api_keys)
    if len(tokens) > 1:
        raise NotAuthenticated("Authorization and X-Api-Key are not the same key")
    return tokens.pop() if tokens else ""


def require_loopback(*, remote: str, host: str, origins: Sequence[str], names: Iterable[str]) -> None:
    """A request that was forwarded comes from somewhere else, whoever handed it over.

    Host and Origin are for browsers on this machine: a page from elsewhere that had its own name resolve to
    127.0.0.1 (DNS rebinding) sends that name as Host, and any page that writes sends its Origin.
    remote: the address it comes from. names: of its headers. Raises NotAllowed.
    """
    if any(_FORWARDING_HEADER.fullmatch(name) for name in names):
        raise NotAllowed("without API keys, forwarded requests are refused")
    if not _is_loopback(remote):
        raise NotAllowed("without API keys, only this machine may call")
    if not _LOOPBACK_HOST.fullmatch(host):
        raise NotAllowed("without API keys, the Host must be localhost, 127.0.0.1 or [::1]")
    if not all(_LOOPBACK_ORIGIN.fullmatch(origin) for origin in origins):
        raise NotAllowed("without API keys, pages from elsewhere may not call")


@lru_cache(maxsize=1000)
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
