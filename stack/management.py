"""RabbitMQ's management HTTP API: virtual hosts, users, permissions and policies.

https://www.rabbitmq.com/docs/http-api-reference
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests

from topology.permissions import OPERATOR, OPERATOR_TAGS, POSTROOM, Permissions, service_permissions

_TIMEOUT = 10.0


class Management:
    """A client with one user's rights. Every call raises requests.RequestException when it fails."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.auth = (user, password)
        self._session.trust_env = False

    def request(self, method: str, *path: str, json: object = None) -> Any:
        """Call /api/<path>, each segment quoted; returns the JSON answer, or None if there is none."""
        segments = "/".join(quote(segment, safe="") for segment in path)
        response = self._session.request(method, f"{self.url}/api/{segments}", json=json, timeout=_TIMEOUT)
        response.raise_for_status()
        return response.json() if response.content else None

    def answers(self) -> bool:
        """Whether the API is up and takes our password."""
        try:
            response = self._session.get(f"{self.url}/api/whoami", timeout=1.0)
        except requests.RequestException:
            return False
        return response.status_code == HTTPStatus.OK

    def version(self) -> tuple[int, ...]:
        """The broker's version: (3, 10, 8)."""
        text: str = self.request("GET", "overview")["rabbitmq_version"]
        return tuple(int(number) for number in text.split("-")[0].split("+")[0].split("."))

    def alarms(self) -> str | None:
        """Why the broker takes no publishes, in its own words; None if it takes them."""
        response = self._session.get(f"{self.url}/api/health/checks/local-alarms", timeout=_TIMEOUT)
        return None if response.ok else str(response.json().get("reason", "an alarm is in effect"))

    def put_vhost(self, vhost: str) -> None:
        self.request("PUT", "vhosts", vhost, json={})

    def delete_vhost(self, vhost: str) -> None:
        self.request("DELETE", "vhosts", vhost)

    def put_user(self, user: str, password: str, *, tags: Iterable[str] = ()) -> None:
        self.request("PUT", "users", user, json={"password": password, "tags": ",".join(tags)})

    def put_permissions(self, vhost: str, user: str, permissions: Permissions) -> None:
        body = {"configure": permissions.configure, "write": permissions.write, "read": permissions.read}
        self.request("PUT", "permissions", vhost, user, json=body)

    def put_policy(self, vhost: str, name: str, *, pattern: str, definition: Mapping[str, object]) -> None:
        body = {"pattern": pattern, "definition": definition, "apply-to": "queues"}
        self.request("PUT", "policies", vhost, name, json=body)


def put_operator(management: Management, *, vhost: str, user: str, password: str) -> None:
    """A login for people: sees everything in the vhost and moves messages from queue to queue."""
    management.put_user(user, password, tags=OPERATOR_TAGS)
    management.put_permissions(vhost, user, OPERATOR)


def put_service(management: Management, *, vhost: str, user: str, password: str) -> None:
    """A login for an internal service: may publish to `email.ingest`, and nothing else."""
    management.put_user(user, password)
    management.put_permissions(vhost, user, service_permissions(user))


def put_postroom(management: Management, *, vhost: str, user: str) -> None:
    """Prepare a vhost for our own processes, whose user exists already."""
    management.put_vhost(vhost)
    management.put_permissions(vhost, user, POSTROOM)
    if management.version() < (4,):
        # Before 4.0 a classic queue keeps its messages in memory: 75 MB per 100,000. As an argument of the
        # queue it would make the declaration fail from 4.3 on.
        management.put_policy(
            vhost,
            "lanes-lazy",
            pattern=r"^email\.(critical|transactional|standard|bulk)$",
            definition={"queue-mode": "lazy"},
        )
