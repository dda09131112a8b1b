"""The secrets of one stack: made once, kept in its data folder, readable by their owner only."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

_FILE = "credentials.json"


def _new_secret() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The three passwords are those of the broker's users of these names."""

    postroom_password: str = field(default_factory=_new_secret)
    operator_password: str = field(default_factory=_new_secret)
    example_service_password: str = field(default_factory=_new_secret)
    erlang_cookie: str = field(default_factory=_new_secret)
    webhook_secret: str = field(default_factory=_new_secret)
    recipient_hash_key: str = field(default_factory=_new_secret)


def load_credentials(folder: Path) -> Credentials:
    """Read the folder's credentials, and complete them with new ones at the first call."""
    path = folder / _FILE
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    credentials = Credentials(**known)
    if asdict(credentials) != known:
        _write(path, credentials)
    return credentials


def _write(path: Path, credentials: Credentials) -> None:
    # Renamed into place: a run that is killed meanwhile leaves the old file or the new one.
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(credentials), file, indent=2)
    draft.replace(path)
