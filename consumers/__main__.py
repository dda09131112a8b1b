"""``python -m consumers``: consume until SIGTERM or SIGINT, then drain and exit 0.

Exits 2 when the configuration or the broker's topology is wrong, 1 at any other error.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable

from consumers.runtime import Consumers
from delivery import event_loop
from delivery.bootstrap import ConsumerParts, build_consumers
from delivery.config import load_config
from delivery.config_values import InvalidConfiguration
from delivery.logs import log_loop_error, set_up_logging
from topology.declare import TopologyMismatch

log = logging.getLogger(__name__)


async def consume(parts: ConsumerParts) -> None:
    """Run the consumers of one process until a signal asks to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_error)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Consumers(parts).run(stop)


def exit_code_of(run: Callable[[], None]) -> int:
    """Run, and say how it ended. No error leaves as a traceback: its text might quote a document."""
    try:
        run()
    except (InvalidConfiguration, TopologyMismatch) as error:
        log.error("%s", error)
        return 2
    except Exception:
        log.exception("the consumers ended")
        return 1
    return 0


def main() -> int:
    set_up_logging()
    return exit_code_of(lambda: event_loop.run(consume(build_consumers(load_config(os.environ)))))


if __name__ == "__main__":
    sys.exit(main())
