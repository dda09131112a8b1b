"""Ids of emails that are made from an id of the caller's own: always the same for the same one, for good."""

import hashlib
import uuid


def derived_email_id(*parts: str) -> str:
    """A UUID of version 8 (RFC 9562, section 5.8) from a SHA-256. parts: none may hold a NUL."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    bits = int.from_bytes(digest[:16], "big")
    bits = bits & ~(0xF << 76) | (8 << 76)
    bits = bits & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=bits))
