"""``python -m consumers``: consume until SIGTERM or SIGINT, then drain and exit 0."""

import asyncio
import logging
import os
import signal
import sys

from consumers.runtime import Consumers
from delivery.bootstrap import ConsumerParts, build_consumers
from delivery.config import InvalidConfiguration, load_config
from delivery.logs import set_up_logging
from topology.declare import TopologyMismatch

log = logging.getLogger(__name__)


async def consume(parts: ConsumerParts) -> None:
    """Run the consumers of one process until a signal asks to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Consumers(parts).run(stop)


def main() -> int:
    set_up_logging()
    try:
        asyncio.run(consume(build_consumers(load_config(os.environ))))
    except (InvalidConfiguration, TopologyMismatch) as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
