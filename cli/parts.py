"""What a command works with, and where it finds it: the environment, or a `make run` in this folder."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pymongo.errors import PyMongoError

from delivery.bootstrap import Store, build_store
from delivery.config import load_config
from delivery.config_values import Config, InvalidConfiguration

RUNNING = Path(".postroom/running.json")
"""Where a `make run` in this folder says how to reach its store and its broker."""

CREDENTIALS = Path(".postroom/credentials.json")

_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """running: what a stack that runs in this folder says of itself; empty without one."""

    config: Config
    store: Store
    running: Mapping[str, Any]


def build_parts(environ: Mapping[str, str]) -> Parts:
    """Opens no connection. Raises InvalidConfiguration.

    The driver's own words may quote the URI, and with it the password.
    """
    running = _read(RUNNING)
    found = _variables(running, {"MONGODB_URI": "mongodb_uri", "AMQP_URL": "amqp_url"})
    if running:
        found |= _variables(_read(CREDENTIALS), {"RECIPIENT_HASH_KEY": "recipient_hash_key"})
    config = load_config({**found, **environ})
    try:
        store = build_store(config, timeout=_TIMEOUT)
    except (PyMongoError, ValueError) as error:
        raise InvalidConfiguration(f"MONGODB_URI can't be used ({type(error).__name__})") from None
    return Parts(config=config, store=store, running=running)


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        values = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(values, dict):
            return values
    return {}


def _variables(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    return {name: values[key] for name, key in names.items() if isinstance(values.get(key), str)}
