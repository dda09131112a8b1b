"""Idempotency keys: a request that comes again with the same key is answered as the first, and sends nothing.

The record of a key holds the ids of the emails before there are any. There is no lock: whoever comes with the
same key and finds emails missing inserts them under the same ids, so a crash is completed, never doubled.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from delivery.domain.errors import InvalidRequest

KEPT = timedelta(hours=24)
PATIENCE = timedelta(seconds=1)
"""Until then the first request is taken to be still at it, where a second one can be told to wait."""

LONGEST_KEY = 256

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class RefusedItem:
    """An email of a batch that was not accepted with the others. index: its place in the batch, from 0."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """record_id: of the tenant and its key. fingerprint: of the first request's body.

    email_ids: of what was accepted, in the order of the request's items, which is without the refused ones.
    """

    record_id: str
    tenant_id: str
    fingerprint: str
    email_ids: tuple[str, ...]
    created_at: datetime
    refused: tuple[RefusedItem, ...] = ()

    def is_expired(self, now: datetime) -> bool:
        return now - self.created_at >= KEPT


class Repeat(StrEnum):
    """What a request with a known key is."""

    OTHER_BODY = "other body"
    REPLAY = "replay"
    IN_FLIGHT = "in flight"
    UNFINISHED = "unfinished"
    EXPIRED = "expired"


def check_key(key: str) -> str:
    """Raises InvalidRequest unless it is 1 to 256 printable characters of ASCII."""
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InvalidRequest(f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters")
    return key


def record_id(tenant_id: str, key: str) -> str:
    """A hash, because callers put into their keys what is nobody else's business."""
    return hashlib.sha256(f"{tenant_id}\0{key}".encode()).hexdigest()


def fingerprint(body: Json) -> str:
    """The same for bodies that differ in the order of their keys, or in nulls; arrays keep their order."""
    canonical = json.dumps(_without_nulls(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def repeat_of(
    record: KeyRecord, *, fingerprint: str, found: set[str], patience: timedelta, now: datetime
) -> Repeat:
    """What a request is that found this record. found: those of the record's emails that there are."""
    if record.is_expired(now):
        return Repeat.EXPIRED
    if fingerprint != record.fingerprint:
        return Repeat.OTHER_BODY
    if found.issuperset(record.email_ids):
        return Repeat.REPLAY
    is_late = now - record.created_at >= patience
    return Repeat.UNFINISHED if is_late else Repeat.IN_FLIGHT


def _without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
