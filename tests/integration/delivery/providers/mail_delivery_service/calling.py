"""The adapter, and emails to submit by it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from delivery.config import load_config
from delivery.domain.emails import ClaimedEmail
from delivery.providers.mail_delivery_service import MailDeliveryService
from tests.unit.delivery.builders import CONTENT, claimed

CONFIG = """
[provider]
connect_timeout = "500ms"
total_timeout = "2s"
[claims]
lease = "90s"
"""


def email(tags: str = "", **content: Any) -> ClaimedEmail:
    """``tags``: fault tags of the simulator."""
    recipient = f"fault+{tags}@example.com" if tags else "ann@example.com"
    changed = replace(CONTENT, **{"recipient": recipient, **content})
    return claimed(email_id=str(uuid.uuid4()), content=changed)


@asynccontextmanager
async def adapter(url: str, folder: Path, *, config: str = CONFIG) -> AsyncIterator[MailDeliveryService]:
    path = folder / "postroom.toml"
    path.write_text(config, encoding="utf-8")
    loaded = load_config({"POSTROOM_CONFIG": str(path), "PROVIDER_URL": url})
    service = MailDeliveryService(loaded.provider)
    try:
        yield service
    finally:
        await service.close()
