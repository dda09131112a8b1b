"""What a run prints when all is ready: addresses, logins, and a curl line that works when pasted."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from stack.credentials import Credentials
from stack.plan import OPERATOR_USER, SERVICE_USER, VHOST, Plan, without_login
from stack.ports import LOOPBACK
from stack.settings import Given


def announcement(plan: Plan, *, credentials: Credentials, given: Given, logs: Path) -> Iterator[str]:
    """The lines, the last of which says that postroom is ready."""
    url = plan.wiring.api_url
    yield ""
    for label, text in _addresses(plan, credentials):
        yield f"  {label:<14}{text}"
    yield f"  {'logs':<14}{logs}"
    yield ""
    yield "Send an email (and ask for its fate: GET /status/<request_id>):"
    yield ""
    yield f"  {curl_line(url, api_key=given.api_keys[0] if given.api_keys else None)}"
    yield ""
    yield "Ctrl-C stops it."
    yield f"postroom is ready: {url}"


def curl_line(api_url: str, *, api_key: str | None) -> str:
    """A command for any shell; with a key it shows that key."""
    email = {"sender": "shop@example.com", "recipient": "ann@example.com", "message": "Hello from postroom"}
    words = ["curl", "-sS", f"{api_url}/send", "-H", "Content-Type: application/json"]
    if api_key is not None:
        words += ["-H", f"Authorization: Bearer {api_key}"]
    return shlex.join([*words, "-d", json.dumps(email)])


def _addresses(plan: Plan, credentials: Credentials) -> Iterator[tuple[str, str]]:
    ports = plan.ports
    yield "API", plan.wiring.api_url
    if plan.broker is None:
        yield "RabbitMQ", f"{without_login(plan.wiring.amqp_url)} (given by AMQP_URL)"
    else:
        yield "RabbitMQ UI", f"http://{LOOPBACK}:{ports.management}"
        yield "  login", f"{OPERATOR_USER} / {credentials.operator_password}"
        login = f"{SERVICE_USER}:{credentials.example_service_password}"
        yield "AMQP", f"amqp://{login}@{LOOPBACK}:{ports.amqp}/{VHOST} (may publish to email.ingest)"
    given = "" if plan.store else " (given by MONGODB_URI)"
    yield "store", f"{without_login(plan.wiring.mongodb_uri)}{given}"
    if plan.simulator is None:
        yield "provider", f"{without_login(plan.wiring.provider_url)} (given by PROVIDER_URL)"
    else:
        yield "simulator", f"{plan.wiring.provider_url} (faults and log: {plan.provider_control_url})"
