"""A thread with an event loop for processes that have none: it publishes what Flask's threads hand over.

aio-pika's objects belong to one loop, and a loop does not survive a fork. So the thread starts with the
first use, in the process that uses it.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from delivery import event_loop
from delivery.broker.connection import DISCONNECT_GRACE, disconnect
from delivery.broker.outbox import Outbox
from delivery.broker.publisher import Publisher
from delivery.broker.strikes import Strikes
from delivery.logs import log_loop_error
from delivery.use_cases.publish_owed import Owed
from topology.declare import TopologyMismatch

log = logging.getLogger(__name__)

RETRY_INTERVAL = 5.0
"""Seconds until a connection that could not be used is tried again."""


class PublishingThread:
    """What is to be made is made on the thread's own loop."""

    def __init__(
        self,
        *,
        make_publisher: Callable[[], Publisher],
        make_strikes: Callable[[], Strikes],
        make_publish: Callable[[Publisher, Strikes], Callable[[Sequence[Owed]], Awaitable[int]]],
    ) -> None:
        self._make_publisher = make_publisher
        self._make_strikes = make_strikes
        self._make_publish = make_publish
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Future[timedelta] | None = None
        self._outbox: Outbox | None = None
        self._publisher: Publisher | None = None
        self._was_connected = threading.Event()

    def start(self) -> None:
        """Start the thread unless it runs; returns once it takes debts (the broker may still be away)."""
        with self._lock:
            if self._thread is not None:
                return
            ready = threading.Event()
            self._thread = threading.Thread(
                target=lambda: event_loop.run(self._run(ready)), name="publishing", daemon=True
            )
            self._thread.start()
            ready.wait()

    def wait_until_connected(self, within: timedelta) -> None:
        """Wait for the first connection, no longer than ``within``: the broker may be away."""
        self._was_connected.wait(within.total_seconds())

    def stop(self, within: timedelta) -> None:
        """Publish and strike what is left, no longer than ``within``, and disconnect; what is then left stays
        owed, and so does all that is handed over later."""
        if self._thread is None or self._loop is None:
            return
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._tell_to_stop, within)
        self._thread.join(within.total_seconds() + 2 * DISCONNECT_GRACE)

    @property
    def is_connected(self) -> bool:
        """Whether what is handed over gets published at this moment."""
        publisher = self._publisher
        return publisher is not None and publisher.is_connected and not publisher.is_stalled

    def hand_over(self, owed: Sequence[Owed]) -> None:
        """Take debts from any thread; returns at once. Never fails: what it can't take stays owed."""
        self.start()
        try:
            assert self._outbox is not None
            self._outbox.hand_over_from_thread(owed)
        except (AssertionError, RuntimeError) as error:  # the thread has ended
            log.error("debts left to the relay count=%d error=%s", len(owed), type(error).__name__)

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(log_loop_error)
        self._stop = self._loop.create_future()
        try:
            self._publisher = self._make_publisher()
            strikes = self._make_strikes()
            self._outbox = Outbox(self._make_publish(self._publisher, strikes))
        finally:
            ready.set()
        async with asyncio.TaskGroup() as tasks:
            runs = (self._connect(self._publisher), self._outbox.run(), strikes.run())
            running = [tasks.create_task(run) for run in runs]
            await _drain(self._outbox, strikes, within=await self._stop)
            for task in running:
                task.cancel()
        await disconnect(self._publisher)

    def _tell_to_stop(self, within: timedelta) -> None:
        if self._stop is not None and not self._stop.done():
            self._stop.set_result(within)

    async def _connect(self, publisher: Publisher) -> None:
        """Connect, however often it takes: without it, this process leaves everything to the relay."""
        while True:
            try:
                await publisher.connect()
            except TopologyMismatch as error:
                log.error("ALARM not publishing: %s", error)
            except Exception as error:
                log.error("not publishing yet error=%s", type(error).__name__)
            else:
                self._was_connected.set()
                return
            await publisher.close()
            await asyncio.sleep(RETRY_INTERVAL)


async def _drain(outbox: Outbox, strikes: Strikes, *, within: timedelta) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            await outbox.drained()
            await strikes.drained()
