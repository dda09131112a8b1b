"""``python -m tests.harness.failing_consumers``: the product's consumers, with one part armed."""

import asyncio
import os
from dataclasses import replace
from typing import Any

from consumers.__main__ import consume
from delivery.bootstrap import ConsumerParts, build_consumers
from delivery.config import load_config
from delivery.logs import set_up_logging
from tests.harness.failpoints import Failpoint, arm, arm_store, failpoint_of


def arm_consumers(parts: ConsumerParts, failpoint: Failpoint) -> ConsumerParts:
    if failpoint.part in ("publisher", "provider"):
        armed: dict[str, Any] = {failpoint.part: arm(getattr(parts, failpoint.part), failpoint)}
        return replace(parts, **armed)
    return replace(parts, store=arm_store(parts.store, failpoint))


if __name__ == "__main__":
    set_up_logging()
    asyncio.run(consume(arm_consumers(build_consumers(load_config(os.environ)), failpoint_of(os.environ))))
