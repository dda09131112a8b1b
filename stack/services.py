"""The Python processes of the stack: simulator, API and consumers, and the environment that joins them."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import requests

from stack.part import Part
from stack.ports import LOOPBACK

CHECKOUT = Path(__file__).resolve().parent.parent
"""Where the packages lie; the processes run from there."""

PROVIDER_NAME = "mail-delivery-service"


def answers_ok(url: str) -> bool:
    """Whether a GET is answered 200 within a second."""
    return _get(url) is not None


def has_its_broker(url: str) -> bool:
    """Whether a GET is answered 200 by an API that can publish. The mail provider may be away."""
    response = _get(url)
    return response is not None and response.json().get("broker") == "connected"


def _get(url: str) -> requests.Response | None:
    try:
        with requests.Session() as session:
            session.trust_env = False
            response = session.get(url, timeout=1.0)
    except requests.RequestException:
        return None
    return response if response.status_code == HTTPStatus.OK else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What API and consumers must know of the rest. webhook_secrets: comma-separated, the newest first."""

    amqp_url: str
    mongodb_uri: str
    provider_url: str
    webhook_secrets: str
    recipient_hash_key: str
    api_port: int

    @property
    def api_url(self) -> str:
        return f"http://{LOOPBACK}:{self.api_port}"

    @property
    def webhook_url(self) -> str:
        return f"{self.api_url}/webhooks/{PROVIDER_NAME}"

    def environment(self) -> dict[str, str]:
        return {
            "AMQP_URL": self.amqp_url,
            "MONGODB_URI": self.mongodb_uri,
            "PROVIDER_URL": self.provider_url,
            "WEBHOOK_SECRETS": self.webhook_secrets,
            "RECIPIENT_HASH_KEY": self.recipient_hash_key,
            "API_PORT": str(self.api_port),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every process of one stack shares. environ: the environment it starts from."""

    environ: Mapping[str, str]
    logs: Path
    owner: str

    def part(
        self,
        name: str,
        module: str,
        *arguments: str,
        env: Mapping[str, str],
        ready_url: str,
        is_ready: Callable[[str], bool] = answers_ok,
    ) -> Part:
        """`python -m <module> <arguments>` from the checkout, ready once `is_ready(ready_url)`."""
        return Part(
            name,
            [sys.executable, "-m", module, *arguments],
            env={**self.environ, "PYTHONUNBUFFERED": "1", **env},
            cwd=CHECKOUT,
            log=self.logs / f"{name.lower().replace(' ', '-')}.log",
            owner=self.owner,
            ready=lambda: is_ready(ready_url),
        )


def simulator_part(
    around: Surroundings,
    *,
    port: int,
    control_port: int,
    webhook_url: str,
    secret: str,
    options: Sequence[str] = (),
) -> Part:
    """The provider. The control port takes `/_faults` and `/_log` even while the provider refuses all."""
    listen = ["--host", LOOPBACK, "--port", str(port), "--control-port", str(control_port)]
    return around.part(
        "simulator",
        "simulator",
        *listen,
        "--webhook-url",
        webhook_url,
        *options,
        env={"SIMULATOR_WEBHOOK_SECRET": secret},
        ready_url=f"http://{LOOPBACK}:{control_port}/readyz",
    )


def api_part(around: Surroundings, *, wiring: Wiring, degraded_is_ready: bool = False) -> Part:
    """The HTTP API under gunicorn. It accepts emails without the broker too, but is degraded then."""
    return around.part(
        "API",
        "gunicorn",
        "-c",
        "api/gunicorn_conf.py",
        "api:create_app()",
        env=wiring.environment(),
        ready_url=f"{wiring.api_url}/readyz",
        is_ready=answers_ok if degraded_is_ready else has_its_broker,
    )


def consumers_part(around: Surroundings, *, wiring: Wiring, number: int, health_port: int) -> Part:
    """One consumer process; `number` tells it from others beside it."""
    return around.part(
        f"consumers {number}",
        "consumers",
        env={**wiring.environment(), "CONSUMERS_HEALTH_PORT": str(health_port)},
        ready_url=f"http://{LOOPBACK}:{health_port}/readyz",
    )
