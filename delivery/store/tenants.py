"""Tenants: one document each, ``_id`` is the tenant's id."""

from collections.abc import Iterable

from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from delivery.domain.emails import DEFAULT_TENANT
from delivery.domain.errors import AlreadyThere
from delivery.domain.lanes import Lane
from delivery.domain.rates import Rate
from delivery.domain.tenants import Tenant
from delivery.store.client import Document, store_errors


class Tenants:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._tenants = db.tenants

    def create(self, tenant: Tenant) -> None:
        """Raises AlreadyThere."""
        with store_errors():
            try:
                self._tenants.insert_one({"_id": tenant.tenant_id, **_document(tenant)})
            except DuplicateKeyError:
                raise AlreadyThere(f"there is a tenant {tenant.tenant_id} already") from None

    def put(self, tenant: Tenant) -> None:
        """Write it, whether it was there or not."""
        with store_errors():
            self._tenants.replace_one({"_id": tenant.tenant_id}, _document(tenant), upsert=True)

    def get(self, tenant_id: str) -> Tenant | None:
        with store_errors():
            found = self._tenants.find_one({"_id": tenant_id})
        return _tenant(found) if found else None

    def of_amqp_users(self, users: Iterable[str]) -> dict[str, Tenant]:
        """The tenants of these users of the broker; a user that is nobody's is left out."""
        wanted = set(users)
        with store_errors():
            found = [_tenant(d) for d in self._tenants.find({"amqp_users": {"$in": sorted(wanted)}})]
        return {user: tenant for tenant in found for user in wanted.intersection(tenant.amqp_users)}

    def shares(self) -> dict[str, int]:
        """Every tenant's share in a lane, the default tenant's too, whether or not anybody has created it."""
        with store_errors():
            found = list(self._tenants.find({}, {"share": 1}))
        return {DEFAULT_TENANT: 1} | {document["_id"]: document.get("share", 1) for document in found}

    def all(self) -> list[Tenant]:
        """By their ids."""
        with store_errors():
            return [_tenant(document) for document in self._tenants.find().sort("_id", ASCENDING)]


def _document(tenant: Tenant) -> Document:
    return {
        "lanes": [lane.value for lane in Lane if lane in tenant.lanes],
        "senders": list(tenant.senders),
        "amqp_users": list(tenant.amqp_users),
        **_rate_fields(tenant.rate),
        "sender_default": tenant.sender_default,
        "share": tenant.share,
    }


def _rate_fields(rate: Rate | None) -> Document:
    return {} if rate is None else {"rate": {"per_second": rate.per_second, "burst": rate.burst}}


def _rate(document: Document | None) -> Rate | None:
    return None if document is None else Rate(document["per_second"], document["burst"])


def _tenant(document: Document) -> Tenant:
    return Tenant(
        tenant_id=document["_id"],
        lanes=frozenset(Lane(lane) for lane in document["lanes"]),
        senders=tuple(document["senders"]),
        amqp_users=tuple(document["amqp_users"]),
        rate=_rate(document.get("rate")),
        sender_default=document.get("sender_default"),
        share=document.get("share", 1),
    )
