"""What schemathesis can't know: which addresses there may be, which times go together, the provider's secret.

It imports this itself; see tests/e2e/test_openapi.py.
"""

import hashlib
import hmac
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st

SECRET = "OPENAPI_TEST_SECRET"
"""The variable that has the webhook's secret."""


class Signature(requests.auth.AuthBase):
    """Signs as the provider does."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else body
        digest = hmac.new(os.environ[SECRET].encode(), raw, hashlib.sha256).hexdigest()
        request.headers["X-Signature"] = f"sha256={digest}"
        return request


_auth = schemathesis.auth.set_from_requests(Signature())  # type: ignore[attr-defined]  # put there when it runs
_auth.apply_to(path="/webhooks/mail-delivery-service")


@schemathesis.hook
def before_call(
    _context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]
) -> None:
    """Valid times must suit each other, which no format can say: expiries are the latest there can be."""
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if is_valid and isinstance(case.body, dict) and "expires_at" in case.body:
        case.body["expires_at"] = (datetime.now(UTC) + timedelta(days=85)).isoformat()


_LABEL = st.from_regex(r"\A[a-z][a-z0-9]{0,8}\Z")
_NOW = datetime.now(UTC).replace(microsecond=0)
_AHEAD = st.integers(60, 80 * 24 * 3600).map(lambda seconds: (_NOW + timedelta(seconds=seconds)).isoformat())

schemathesis.openapi.format("email", st.builds("{}@{}.example".format, _LABEL, _LABEL))
schemathesis.openapi.format("date-time", _AHEAD)
