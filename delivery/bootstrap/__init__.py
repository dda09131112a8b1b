"""The composition root: builds the parts from the configuration. Nothing happens at import."""

from delivery.bootstrap.api import API_STORE_TIMEOUT, ApiParts, build_api, callers_of, join_api, may_listen
from delivery.bootstrap.consumers import ConsumerParts, build_consumers
from delivery.bootstrap.names_and_time import new_email_id, process_name, utc_now
from delivery.bootstrap.publishing import build_publisher, publish_owed, strikes_of, topology_of
from delivery.bootstrap.store import Store, build_store

__all__ = [
    "API_STORE_TIMEOUT",
    "ApiParts",
    "ConsumerParts",
    "Store",
    "build_api",
    "build_consumers",
    "build_publisher",
    "build_store",
    "callers_of",
    "join_api",
    "may_listen",
    "new_email_id",
    "process_name",
    "publish_owed",
    "strikes_of",
    "topology_of",
    "utc_now",
]
