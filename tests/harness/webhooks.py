"""Posts provider events to the API, as the mail delivery service does."""

import hashlib
import hmac
import json

import requests

from tests.harness.api import Api

PATH = "/webhooks/mail-delivery-service"


def event(request_id: str, status: str) -> bytes:
    """The raw body of an event."""
    return json.dumps({"ID": request_id, "STATUS": status}).encode()


def signature(body: bytes, *, secret: str) -> str:
    """The value of X-Signature."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def post_signed(api: Api, body: bytes, *, secret: str) -> requests.Response:
    """Post a body with its signature; the answer whatever its status."""
    return post(api, body, **{"X-Signature": signature(body, secret=secret)})


def post(api: Api, body: bytes, *, token: str | None = None, **headers: str) -> requests.Response:
    """Post a body, with a token in the path if one is given; the answer whatever its status."""
    path = PATH if token is None else f"{PATH}/{token}"
    return api.request("POST", path, data=body, headers={"Content-Type": "application/json", **headers})
