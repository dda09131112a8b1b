"""What RabbitMQ's management HTTP API tells and AMQP can't: bindings, and what else there is.

https://www.rabbitmq.com/docs/http-api-reference
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import requests

from topology.model import Binding

TIMEOUT = 10.0
"""Seconds for one answer of the management API."""


class ManagementUnavailable(Exception):
    """The management API can't be reached, or doesn't let us in. The text says which, without credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is on a virtual host: exchanges, queues with their numbers of messages, bindings to queues."""

    exchanges: frozenset[str]
    queues: Mapping[str, int]
    bindings: frozenset[Binding]


def read_listing(management_url: str, *, vhost: str, user: str, password: str) -> Listing:
    """Read what is on `vhost`; credentials in the URL go before `user` and `password`.

    Raises ManagementUnavailable.
    """
    parts = urlsplit(management_url)
    if parts.scheme not in ("http", "https"):
        raise ManagementUnavailable("the management API's URL is not of the form http://host:15672")
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    with requests.Session() as session:
        session.trust_env = False  # neither a proxy nor a .netrc stands between us and the broker
        session.auth = (unquote(parts.username or "") or user, unquote(parts.password or "") or password)
        exchanges = _get(session, address, f"exchanges/{quote(vhost, safe='')}")
        queues = _get(session, address, f"queues/{quote(vhost, safe='')}")
        bindings = _get(session, address, f"bindings/{quote(vhost, safe='')}")
    return Listing(
        exchanges=frozenset(exchange["name"] for exchange in exchanges),
        queues={queue["name"]: queue.get("messages", 0) for queue in queues},
        bindings=frozenset(
            Binding(
                exchange=binding["source"],
                queue=binding["destination"],
                routing_key=binding["routing_key"],
            )
            for binding in bindings
            if binding["destination_type"] == "queue"
        ),
    )


def _get(session: requests.Session, address: str, path: str) -> list[dict[str, Any]]:
    try:
        response = session.get(f"{address}/api/{path}", timeout=TIMEOUT)
        response.raise_for_status()
        listing: list[dict[str, Any]] = response.json()
    except requests.HTTPError as error:
        status = f"{error.response.status_code} {error.response.reason}"
        raise ManagementUnavailable(f"the management API at {address} answered {status}") from error
    except requests.ConnectionError as error:
        raise ManagementUnavailable(f"no management API answers at {address}") from error
    except requests.RequestException as error:
        raise ManagementUnavailable(f"no management API at {address}: {type(error).__name__}") from error
    return listing
