"""The publisher: confirms, mandatory, many in flight, a deadline on each."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from aio_pika import DeliveryMode
from aio_pika.abc import AbstractRobustChannel, AbstractRobustConnection
from aio_pika.exceptions import DeliveryError
from aiormq import Channel, spec

from delivery.broker.connection import CONNECTION_ERRORS, RECONNECT_INTERVAL, connect, is_own_cancellation
from delivery.use_cases.messages import Outgoing, Verdict
from topology.declare import TopologyMismatch, declare
from topology.definition import with_tenants
from topology.model import Topology
from topology.names import LANES

log = logging.getLogger(__name__)

CONFIRM_TIMEOUT = 5.0
"""Seconds until a publish without an answer is unknown. Without it a publish to a blocked broker hangs."""

REDECLARE_INTERVAL = 5.0
"""Seconds between two declarations of the topology, however many publishes are refused meanwhile."""

MAX_IN_FLIGHT = 128
"""Publishes awaiting their confirm at once; about a hundred saturate the client."""


class Publisher:
    """Publishes on a connection of its own, which it declares the topology on whenever it is (re)made: what
    always is there, and the queues of tenants that it has published to.

    ``is_stalled``: connected, but the last publish got no answer in time.
    """

    def __init__(self, url: str, *, name: str, topology: Topology) -> None:
        self._url = url
        self._name = name
        self._topology = topology
        self._connection: AbstractRobustConnection | None = None
        self._channel: AbstractRobustChannel | None = None
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._known_lanes = set(LANES)
        self._declaring_lane = asyncio.Lock()
        self._redeclaring: asyncio.Task[None] | None = None
        self.is_stalled = False

    async def connect(self) -> None:
        """Connect, however long it takes, and declare the topology.

        Raises topology.declare.TopologyMismatch when the broker has something else under one of its names.
        """
        self._connection = await connect(self._url, name=f"{self._name} (publishing)")
        self._connection.reconnect_callbacks.add(self._reconnected)
        while True:
            if await self._open_channel(self._connection):
                return
            await asyncio.sleep(RECONNECT_INTERVAL)

    @property
    def is_connected(self) -> bool:
        return (
            self._channel is not None
            and self._connection is not None
            and self._connection.connected.is_set()
            and not self._channel.is_closed
        )

    async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
        """Publish a batch; returns each message's verdict, in order. Raises nothing of the broker's.

        While the broker answers nothing (out of memory or disk, or frozen) a batch sends its first message
        alone: a publish that timed out is usually delivered later, and each try would leave another copy.
        """
        first = [await self._publish(messages[0])] if self.is_stalled and messages else []
        if first == [Verdict.UNKNOWN]:
            return [Verdict.UNKNOWN] * len(messages)
        rest = messages[len(first) :]
        return first + list(await asyncio.gather(*(self._publish(message) for message in rest)))

    async def close(self) -> None:
        if self._redeclaring is not None:
            self._redeclaring.cancel()
        if self._connection is not None:
            await self._connection.close()

    async def _open_channel(self, connection: AbstractRobustConnection) -> bool:
        """False if the broker went away again before all was declared."""
        try:
            await declare(connection, self._topology)
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        except CONNECTION_ERRORS as error:
            log.warning("topology not declared: %s", type(error).__name__)
            return False
        except asyncio.CancelledError:
            if is_own_cancellation():
                raise
            return False
        assert isinstance(channel, AbstractRobustChannel)
        self._channel = channel
        return True

    async def _publish(self, message: Outgoing) -> Verdict:
        async with self._in_flight:
            if not self.is_connected:
                return Verdict.UNKNOWN
            try:
                async with asyncio.timeout(CONFIRM_TIMEOUT):
                    if message.lane_key is not None and message.lane_key not in self._known_lanes:
                        await self._declare_lane(message.lane_key)
                    await self._confirmed(message)
            except DeliveryError as error:  # nacked, or returned as unroutable
                self.is_stalled = False
                self._declare_again()
                # The default exchange's keys are names of other services' queues.
                key = message.routing_key if message.exchange else "(a reply)"
                log.error(
                    "publish refused exchange=%s key=%s error=%s", message.exchange, key, type(error).__name__
                )
                return Verdict.REFUSED
            except TimeoutError:
                self.is_stalled = True
                return Verdict.UNKNOWN
            except CONNECTION_ERRORS:
                return Verdict.UNKNOWN
            except asyncio.CancelledError:
                if is_own_cancellation():
                    raise
                return Verdict.UNKNOWN
            except Exception as error:  # it can't be encoded: that must spoil no other message's verdict
                log.error("publish failed exchange=%s error=%s", message.exchange, type(error).__name__)
                return Verdict.REFUSED
            self.is_stalled = False
            return Verdict.CONFIRMED

    async def _declare_lane(self, key: str) -> None:
        """A tenant's queue in a lane, before the first message for it: what ends a delay without one, has no
        route."""
        async with self._declaring_lane:
            if key not in self._known_lanes:
                assert self._connection is not None
                nothing = Topology(exchanges=(), queues=(), bindings=())
                await declare(self._connection, with_tenants(nothing, keys=[key]))
                self._known_lanes.add(key)

    async def _confirmed(self, message: Outgoing) -> None:
        """Publish and wait for the confirm, on the channel below aio-pika's: a third less work a message."""
        assert self._channel is not None
        channel = await self._channel.get_underlay_channel()
        assert isinstance(channel, Channel)
        await channel.basic_publish(
            message.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            properties=_properties(message),
            mandatory=message.mandatory,
            wait=False,  # for the confirm, not also for the socket: what is in flight is bounded anyway
        )

    def _reconnected(self, *_: object) -> None:
        """A broker that comes back may come back empty."""
        self.is_stalled = False
        self._declare_again()

    def _declare_again(self) -> None:
        """In a task of its own: aio-pika drops what a callback raises, and a declaration that gets no answer
        must be repeated."""
        if self._redeclaring is None or self._redeclaring.done():
            self._redeclaring = asyncio.create_task(self._redeclare())

    async def _redeclare(self) -> None:
        """Also when a publish was refused: somebody may have deleted a queue, and its bindings with it."""
        assert self._connection is not None
        while self._connection.connected.is_set():
            try:
                await declare(self._connection, with_tenants(self._topology, keys=self._known_lanes))
            except TopologyMismatch as error:
                log.error("ALARM the broker came back with another topology: %s", error)
                return
            except CONNECTION_ERRORS as error:
                log.warning("topology not declared after reconnecting: %s", type(error).__name__)
                await asyncio.sleep(RECONNECT_INTERVAL)
            else:
                await asyncio.sleep(REDECLARE_INTERVAL)
                return


def _properties(message: Outgoing) -> spec.Basic.Properties:
    """A message_id of its own for every publish: two in flight with one id swap their verdicts."""
    return spec.Basic.Properties(
        delivery_mode=DeliveryMode.PERSISTENT,
        content_type=message.content_type,
        priority=message.priority,
        headers=dict(message.headers),
        message_id=uuid4().hex,
        correlation_id=message.correlation_id,
        timestamp=datetime.now(UTC),
        app_id="postroom",
    )
