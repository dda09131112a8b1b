"""Who may call: bearer tokens, or, where none are configured, this machine only."""

import hmac
import ipaddress

from flask import Flask, request

from delivery.domain.errors import NotAllowed, NotAuthenticated

OPEN_ENDPOINTS = frozenset(
    {
        "health.livez",
        "health.readyz",
        # These authenticate the provider by its signature or by the token in the path.
        "webhooks.signed",
        "webhooks.with_token",
    }
)

_FORWARDING_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


def register(app: Flask, *, keys: tuple[str, ...]) -> None:
    encoded = tuple(key.encode() for key in keys)

    @app.before_request
    def authenticate() -> None:
        if request.endpoint in OPEN_ENDPOINTS:
            return
        if encoded:
            _require_key(encoded)
        else:
            _require_loopback()


def _require_key(keys: tuple[bytes, ...]) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = given.strip().encode("utf-8", "replace")
    valid = False
    for key in keys:  # each one, so that the time tells nothing
        valid |= hmac.compare_digest(key, token)
    if scheme.lower() != "bearer" or not valid:
        raise NotAuthenticated("missing or wrong API key; send it as 'Authorization: Bearer <key>'")


def _require_loopback() -> None:
    """A request that was forwarded comes from somewhere else, whoever handed it over."""
    if any(name in request.headers for name in _FORWARDING_HEADERS):
        raise NotAllowed("without API_KEYS, forwarded requests are refused")
    try:
        is_local = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise NotAllowed("without API_KEYS, only this machine may call")
