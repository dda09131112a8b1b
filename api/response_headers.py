"""The headers of answers, as the API's description has them."""

from typing import Any

_WHOLE_SECONDS = {"type": "integer", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}

RESPONSE_HEADERS: dict[str, dict[str, Any]] = {
    "Location": {"description": "where to ask what became of it", "schema": {"type": "string"}},
    "Idempotency-Replay": {
        "description": "true: this is the answer to an earlier request with the same Idempotency-Key",
        "schema": {"type": "string", "const": "true"},
    },
    "Preference-Applied": {
        "description": "which Prefer was honoured (RFC 7240)",
        "schema": {"type": "string", "pattern": "^wait=[0-9]+$"},
    },
    "Retry-After": {"description": "in how many seconds to try again", "schema": _WHOLE_SECONDS},
    "WWW-Authenticate": {
        "description": "how to authenticate",
        "required": True,
        "schema": {"type": "string"},
    },
    "RateLimit-Limit": {
        "description": "how many requests may be made at once after a rest; where there is a limit",
        "schema": _COUNT,
    },
    "RateLimit-Remaining": {"description": "how many may be made now", "schema": _COUNT},
    "RateLimit-Reset": {
        "description": "in how many seconds RateLimit-Limit requests may be made, if none is meanwhile",
        "schema": _WHOLE_SECONDS,
    },
    "RateLimit-Policy": {
        "description": "RateLimit-Limit, and in how many seconds so many come back",
        "schema": {"type": "string", "pattern": "^[0-9]+;w=[0-9]+$"},
    },
}
