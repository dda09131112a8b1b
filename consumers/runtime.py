"""The runtime of a consumer process: connect, consume, drain."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

from consumers.batch_consumer import BatchConsumer
from consumers.breaker import BreakerWatch
from consumers.checks import ask_forever, decide_forever
from consumers.counters import Counters
from consumers.due_emails import queue_due_forever
from consumers.health import Health, serve_health
from consumers.ingest import ingest_consumer
from consumers.lanes import LanesConsumer
from consumers.leases import Leases
from consumers.lost_messages import find_lost_forever
from consumers.overdue import end_overdue_forever
from consumers.precedence import Precedence
from consumers.provider_events import provider_event_consumer
from consumers.reconciler import reconcile_forever
from consumers.recount import recount_forever
from consumers.relay import relay_forever
from consumers.requeue import requeue_consumer
from consumers.settlement import until_store_answers
from consumers.tenants import follow_tenants_forever
from consumers.watermarks import Watermarks
from delivery.bootstrap import ConsumerParts, process_name, publish_owed, strikes_of, utc_now
from delivery.broker.announcer import Announcer
from delivery.broker.connection import Connection, connect, disconnect
from delivery.broker.outbox import Outbox
from delivery.broker.publisher import Publisher
from delivery.garbage import freeze_start
from delivery.store.indexes import create_indexes
from topology import names

log = logging.getLogger(__name__)

STORE_THREADS = 16
"""Calls to the store at once; asyncio's own pool has six threads on a machine with two cores."""

OUTBOX_GRACE = 2.0
"""Seconds that a stop waits for the last confirms; what is not confirmed stays owed."""

FLUSH_GRACE = 1.0
"""Seconds that a stop waits for the last changes of counts and the last effects of provider events to be
written; a recount and the reconciler make up for what is lost."""


class Consumers:
    """All consumers and loops of one process. Belongs to the event loop it is made on."""

    def __init__(self, parts: ConsumerParts) -> None:
        self._parts = parts
        self._strikes = strikes_of(parts.config, parts.store)
        self._outbox = Outbox(publish_owed(parts.config, publisher=parts.publisher, strike=self._strikes.add))
        self._announcer = Announcer(parts.publisher, count=parts.store.count)
        self._watermarks = Watermarks()
        self._counters = Counters()
        self._leases = Leases(parts.store.claims, lease=parts.config.claims.lease, clock=utc_now)
        self._breaker = BreakerWatch(parts)
        precedence = Precedence()
        self._lanes = LanesConsumer(
            parts,
            outbox=self._outbox,
            announcer=self._announcer,
            leases=self._leases,
            watermarks=self._watermarks,
            breaker=self._breaker,
            precedence=precedence,
        )
        self._own_queues = [
            provider_event_consumer(parts, self._announcer, give_way=precedence.give_way),
            requeue_consumer(parts, outbox=self._outbox, announcer=self._announcer),
        ]
        self._ingest_queues = [
            ingest_consumer(names.INGEST_CRITICAL_QUEUE, parts, self._outbox),
            ingest_consumer(names.INGEST_QUEUE, parts, self._outbox),
        ]
        self._consuming: list[Connection] = []
        self._is_consuming = False

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then drain.

        Raises topology.declare.TopologyMismatch, and whatever ends one of the loops: then the process must
        end too, rather than half-run.
        """
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(STORE_THREADS, "store"))
        async with AsyncExitStack() as exits:
            if self._parts.config.consumers_health_port is not None:
                port = self._parts.config.consumers_health_port
                runner = await serve_health(port, self._look, counters=self._counters)
                exits.push_async_callback(runner.cleanup)
            exits.push_async_callback(self._parts.close_provider)
            self._leases.start()
            exits.callback(self._leases.stop)
            exits.push_async_callback(self._disconnect)
            if not await self._unless(stop, self._prepare_store()):
                return
            freeze_start()
            tasks = [asyncio.create_task(loop) for loop in self._loops()]
            exits.push_async_callback(_cancel, tasks)
            await self._until(stop, tasks)
            await self._drain()

    @property
    def _queues(self) -> list[BatchConsumer]:
        return [*self._own_queues, *self._ingest_queues]

    def _loops(self) -> list[Coroutine[None, None, None]]:
        parts, outbox, announcer, counters = self._parts, self._outbox, self._announcer, self._counters
        return [
            outbox.run(),
            self._strikes.run(),
            announcer.run(),
            relay_forever(parts, counters=counters),
            queue_due_forever(parts, announcer=announcer, counters=counters),
            reconcile_forever(parts, announcer=announcer, counters=counters),
            find_lost_forever(
                parts,
                outbox=outbox,
                watermarks=self._watermarks,
                counters=counters,
            ),
            self._breaker.run(self._lanes),
            end_overdue_forever(
                parts,
                outbox=outbox,
                announcer=announcer,
                breaker=lambda: self._breaker.state,
                counters=counters,
            ),
            ask_forever(parts, outbox=outbox, announcer=announcer, counters=counters),
            decide_forever(parts, outbox=outbox, announcer=announcer, counters=counters),
            follow_tenants_forever(parts, self._lanes),
            recount_forever(parts),
            self._lanes.claim_forever(),
            self._lanes.settle_forever(),
            *(queue.run() for queue in self._queues),
        ]

    async def _prepare_store(self) -> None:
        """The loops' queries name their indexes, so these come first; and the lanes heed the breaker."""
        await until_store_answers(lambda: create_indexes(self._parts.store.db))
        await self._lanes.follow(await until_store_answers(self._parts.store.tenants.shares))
        await self._breaker.load(self._lanes)

    async def _unless(self, stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
        """Do the work; False, and it is given up, when told to stop before it is done."""
        working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            return working.done()
        finally:
            await _cancel([working, stopping])

    async def _until(self, stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
        """Connect and consume; return when told to stop, raise when something ends that must not."""
        connecting = asyncio.create_task(self._connect())
        stopping = asyncio.create_task(stop.wait())
        watched: set[asyncio.Task[Any]] = {stopping, connecting, *tasks}
        try:
            while not stopping.done():
                done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopping}:
                    task.result()
                    if task is not connecting:
                        raise RuntimeError("a loop of the consumers ended")
                watched -= {connecting}
        finally:
            await _cancel([connecting, stopping])

    async def _connect(self) -> None:
        await self._parts.publisher.connect()
        ours = await self._open("consuming")
        await self._lanes.start(ours)
        for queue in self._own_queues:
            await queue.start(ours)
        await self._parts.replies.connect()
        for queue in self._ingest_queues:
            # What other services publish must not hold up the lanes' messages or end their connection,
            # nor bulk critical's: to each its own.
            await queue.start(await self._open(f"consuming {queue.queue}"))
        self._is_consuming = True
        log.info("consumers are ready")

    async def _open(self, role: str) -> Connection:
        connection = await connect(
            self._parts.config.amqp_url, name=f"postroom consumers {process_name()} ({role})"
        )
        self._consuming.append(connection)
        return connection

    async def _drain(self) -> None:
        """Within the grace time and some seconds: the last writes and confirms come after the last call."""
        log.info("draining")
        self._is_consuming = False
        grace: timedelta = self._parts.config.consumers_grace
        ended = await asyncio.gather(
            self._breaker.stop(grace),
            self._lanes.stop(grace),
            *(_bounded(queue, grace) for queue in self._queues),
            return_exceptions=True,
        )
        for error in ended:
            if isinstance(error, BaseException):
                log.error("not drained error=%s", type(error).__name__)
        with suppress(TimeoutError):
            async with asyncio.timeout(OUTBOX_GRACE):
                await self._outbox.drained()
                await self._strikes.drained()
                await self._announcer.drained()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_GRACE):
                await asyncio.to_thread(self._parts.store.flush)
        log.info("drained")

    async def _disconnect(self) -> None:
        """All at once: a stop has its own time limit."""
        publishers = (self._parts.replies, self._parts.publisher)
        connections: list[Connection | Publisher] = [*self._consuming, *publishers]
        await asyncio.gather(*(disconnect(connection) for connection in connections))

    async def _look(self) -> Health:
        return Health(
            consuming=self._is_consuming and all(each.connected.is_set() for each in self._consuming),
            broker=self._parts.publisher.is_connected and not self._parts.publisher.is_stalled,
            store=await asyncio.to_thread(self._parts.store.is_reachable),
            calls=self._lanes.pace.calls,
            breaker=self._breaker.state,
        )


async def _bounded(queue: BatchConsumer, grace: timedelta) -> None:
    """A batch that waits for the store is left to the broker, which redelivers it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(grace.total_seconds()):
            await queue.stop()


async def _cancel(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
