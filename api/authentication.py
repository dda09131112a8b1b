"""Who may call: bearer tokens, or, where none are configured, this machine only."""

import hmac
import ipaddress
import re

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

_FORWARDING_HEADER = re.compile(
    r"forwarded|via|x-forwarded-.+|x-real-ip|(.+-)?client-ip|cf-connecting-ip", re.IGNORECASE
)
_LOOPBACK_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_LOOPBACK_ORIGIN = re.compile(f"https?://{_LOOPBACK_HOST.pattern}", re.IGNORECASE)


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
    """A request that was forwarded comes from somewhere else, whoever handed it over.

    Host and Origin are for browsers on this machine: a page from elsewhere that had its own name resolve to
    127.0.0.1 (DNS rebinding) sends that name as Host, and any page that writes sends its Origin.
    """
    if any(_FORWARDING_HEADER.fullmatch(name) for name in request.headers.keys()):  # noqa: SIM118 - not a dict
        raise NotAllowed("without API_KEYS, forwarded requests are refused")
    try:
        is_local = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise NotAllowed("without API_KEYS, only this machine may call")
    if not _LOOPBACK_HOST.fullmatch(request.headers.get("Host", "")):
        raise NotAllowed("without API_KEYS, the Host must be localhost, 127.0.0.1 or [::1]")
    if not all(_LOOPBACK_ORIGIN.fullmatch(origin) for origin in request.headers.getlist("Origin")):
        raise NotAllowed("without API_KEYS, pages from elsewhere may not call")
