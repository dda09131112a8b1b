"""What every peer is told through its environment."""

from collections.abc import Mapping
from dataclasses import dataclass

PRIORITIES = {"critical": 9, "transactional": 6, "standard": 3, "bulk": 0}
"""A lane's priority in the queue: RabbitMQ takes the highest first."""

MAX_PRIORITY = 10
"""What the docs of Celery and Dramatiq have in their examples."""

QUEUE = "emails"
API_THREADS = 32
CONNECT_SECONDS = 2.0
CALL_SECONDS = 15.0
MAX_RETRIES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The defaults are there only for those who import a peer without running it."""

    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    mongodb_uri: str = "mongodb://127.0.0.1:27017/peers"
    provider_url: str = "http://127.0.0.1:8081"
    webhook_secret: str = ""


def load_settings(environ: Mapping[str, str]) -> Settings:
    default = Settings()
    return Settings(
        amqp_url=environ.get("AMQP_URL", default.amqp_url),
        mongodb_uri=environ.get("MONGODB_URI", default.mongodb_uri),
        provider_url=environ.get("PROVIDER_URL", default.provider_url),
        webhook_secret=environ.get("WEBHOOK_SECRETS", default.webhook_secret),
    )
