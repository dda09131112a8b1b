"""What schemathesis can't know: which addresses and cursors there are, which times go together, a secret.

It imports this itself; see tests/e2e/test_openapi.py.
"""

import hashlib
import hmac
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import requests
import schemathesis
from hypothesis import strategies as st

from delivery.contract.cursors import write_cursor
from delivery.domain.readings import Place

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
    """Of valid calls, what no schema says: cursors and ids were answered before, times go together."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        if case.headers.get("x-batch-validation") == "permissive":
            case.headers["x-batch-validation"] = "strict"  # else the valid ones of a wrong batch are taken
        return
    if "page" in case.query:
        case.query["page"] = 1 + int(case.query["page"]) % 10  # none is further than 1,000 emails on
    if "cursor" in case.query:
        case.query["cursor"] = write_cursor(Place(datetime.now(UTC), str(uuid4())))
    for body in case.body if isinstance(case.body, list) else [case.body]:
        if isinstance(body, dict):
            body.pop("inReplyToId", None)  # which would have to be that of an email that was sent
            if body.get("expires_at") is not None:
                body["expires_at"] = (datetime.now(UTC) + timedelta(days=85)).isoformat()


_LABEL = st.from_regex(r"\A[a-z][a-z0-9]{0,8}\Z")
_NOW = datetime.now(UTC).replace(microsecond=0)
_AHEAD = st.integers(60, 80 * 24 * 3600).map(lambda seconds: (_NOW + timedelta(seconds=seconds)).isoformat())

schemathesis.openapi.format("email", st.builds("{}@{}.example".format, _LABEL, _LABEL))
schemathesis.openapi.format("date-time", _AHEAD)
