"""API keys: one document each, ``_id`` is the key's visible prefix. Tokens are never stored."""

from datetime import datetime
from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

from delivery.domain.api_keys import ApiKey
from delivery.domain.tenants import Scope
from delivery.store.client import Document, store_errors


class ApiKeys:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._keys = db.api_keys

    def create(self, key: ApiKey) -> None:
        with store_errors():
            self._keys.insert_one(
                {
                    "_id": key.key_id,
                    "tenant_id": key.tenant_id,
                    "name": key.name,
                    "scopes": sorted(key.scopes),
                    "secret_hash": key.secret_hash,
                    "created_at": key.created_at,
                    "expires_at": key.expires_at,
                    "revoked_at": None,
                    "last_used_at": None,
                }
            )

    def get(self, key_id: str) -> ApiKey | None:
        with store_errors():
            found = self._keys.find_one({"_id": key_id})
        return _key(found) if found else None

    def of_tenant(self, tenant_id: str) -> list[ApiKey]:
        """The oldest first."""
        with store_errors():
            found = self._keys.find({"tenant_id": tenant_id}).sort("created_at", ASCENDING)
            return [_key(document) for document in found]

    def exist(self) -> bool:
        """Whether any key was ever made: from then on, nobody calls without one."""
        with store_errors():
            return self._keys.find_one({}, {"_id": 1}) is not None

    def revoke(self, tenant_id: str, key_id: str, *, now: datetime) -> bool:
        """False if the tenant has no such key that is not revoked."""
        with store_errors():
            result = self._keys.update_one(
                {"_id": key_id, "tenant_id": tenant_id, "revoked_at": None}, {"$set": {"revoked_at": now}}
            )
        return result.modified_count == 1

    def note_use(self, key_id: str, *, now: datetime) -> None:
        with store_errors():
            self._keys.update_one({"_id": key_id}, {"$max": {"last_used_at": now}})


def _key(document: dict[str, Any]) -> ApiKey:
    return ApiKey(
        key_id=document["_id"],
        tenant_id=document["tenant_id"],
        name=document["name"],
        scopes=frozenset(Scope(scope) for scope in document["scopes"]),
        secret_hash=document["secret_hash"],
        created_at=document["created_at"],
        expires_at=document["expires_at"],
        revoked_at=document["revoked_at"],
        last_used_at=document["last_used_at"],
    )
