"""API keys: ``pr_<id>_<secret>``. The id is public and finds the key; of the whole, only a hash is kept.

A plain SHA-256 is enough: the secret is 256 random bits, so there is nothing to guess.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime

from delivery.domain.tenants import Scope

ID_BYTES = 6
SECRET_BYTES = 32

_TOKEN = re.compile(r"(pr_[0-9a-f]{12})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """key_id: the visible prefix. last_used_at: to the minute."""

    key_id: str
    tenant_id: str
    name: str
    scopes: frozenset[Scope]
    secret_hash: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_active(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def opens_with(self, token: str, now: datetime) -> bool:
        """Whether this is the key's token and it is still good. Takes the same time for every token."""
        return hmac.compare_digest(self.secret_hash, hash_of(token)) and self.is_active(now)


def make_token(random: bytes) -> tuple[str, str]:
    """A key's id and its token, from ID_BYTES + SECRET_BYTES random bytes."""
    if len(random) != ID_BYTES + SECRET_BYTES:
        raise ValueError("not as many bytes as a token has")
    key_id = f"pr_{random[:ID_BYTES].hex()}"
    secret = base64.urlsafe_b64encode(random[ID_BYTES:]).rstrip(b"=").decode()
    return key_id, f"{key_id}_{secret}"


def id_of(token: str) -> str | None:
    """The id in a token; None if it is no token of ours."""
    match = _TOKEN.fullmatch(token)
    return match[1] if match else None


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
