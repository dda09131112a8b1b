"""What the environment gives `make run`: what is given is used and not started."""

from collections.abc import Mapping
from dataclasses import dataclass


class InvalidSettings(Exception):
    """The environment gives something that can't be used. The text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """None: not given. webhook_secrets: comma-separated, the newest first."""

    amqp_url: str | None
    mongodb_uri: str | None
    provider_url: str | None
    webhook_secrets: str | None
    recipient_hash_key: str | None
    api_port: int | None
    api_keys: tuple[str, ...]


def read_given(environ: Mapping[str, str]) -> Given:
    """An empty variable counts as not given. Raises InvalidSettings."""
    return Given(
        amqp_url=environ.get("AMQP_URL") or None,
        mongodb_uri=environ.get("MONGODB_URI") or None,
        provider_url=environ.get("PROVIDER_URL") or None,
        webhook_secrets=environ.get("WEBHOOK_SECRETS") or None,
        recipient_hash_key=environ.get("RECIPIENT_HASH_KEY") or None,
        api_port=_port(environ.get("API_PORT") or None),
        api_keys=tuple(key.strip() for key in environ.get("API_KEYS", "").split(",") if key.strip()),
    )


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise InvalidSettings(f"API_PORT is {text!r}, but must be a port: 1 to 65535")
    return int(text)
