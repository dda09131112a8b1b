"""The publisher: confirms, mandatory, many in flight, a deadline on each."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence

from aio_pika.abc import AbstractRobustChannel, AbstractRobustConnection
from aiormq import Channel
from aiormq.abc import AbstractChannel

from delivery.broker.confirms import ConfirmingChannel
from delivery.broker.connection import (
    CONNECTION_ERRORS,
    RECONNECT_INTERVAL,
    Connection,
    connect,
    is_own_cancellation,
)
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

MAX_IN_FLIGHT = 256
"""Messages of one call that await their confirms at once."""

MAX_BYTES_IN_FLIGHT = 1024 * 1024
"""Of their bodies; a single message may be larger."""


class Publisher:
    """Publishes on a connection of its own, which it declares the topology on whenever it is (re)made: what
    always is there, and the queues of tenants that it has published to.

    ``is_stalled``: connected, but the last publish got no answer in time. ``returns``: how often the broker
    has come back so far, after a lost connection or a stall.
    """

    def __init__(self, url: str, *, name: str, topology: Topology) -> None:
        self._url = url
        self._name = name
        self._topology = topology
        self._connection: Connection | None = None
        self._channel: AbstractRobustChannel | None = None
        self._confirming: tuple[AbstractChannel, ConfirmingChannel] | None = None
        self._known_lanes = set(LANES)
        self._declaring_lane = asyncio.Lock()
        self._redeclaring: asyncio.Task[None] | None = None
        self.is_stalled = False
        self.returns = 0

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
            and not self._is_closing()
        )

    async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
        """Publish a batch; returns each message's verdict, in order. Raises nothing of the broker's.

        While the broker answers nothing (out of memory or disk, or frozen) a batch sends its first message
        alone: a publish that timed out is usually delivered later, and each try would leave another copy.
        """
        verdicts = await self._publish_slice(messages[:1]) if self.is_stalled else []
        while len(verdicts) < len(messages) and not self.is_stalled:
            verdicts += await self._publish_slice(_slice(messages, start=len(verdicts)))
        return verdicts + [Verdict.UNKNOWN] * (len(messages) - len(verdicts))

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

    async def _publish_slice(self, messages: Sequence[Outgoing]) -> list[Verdict]:
        new_lanes = {key for message in messages if (key := message.lane_key)} - self._known_lanes
        if new_lanes:
            return await self._publish_apart(messages, new_lanes)
        return await self._publish_together(messages)

    async def _publish_apart(self, messages: Sequence[Outgoing], new_lanes: set[str]) -> list[Verdict]:
        """Each new lane by itself: what it waits for, the others don't."""
        by_lane: dict[str | None, list[int]] = defaultdict(list)
        for place, message in enumerate(messages):
            by_lane[message.lane_key if message.lane_key in new_lanes else None].append(place)
        verdicts = [Verdict.UNKNOWN] * len(messages)

        async def publish(new_lane: str | None, places: Sequence[int]) -> None:
            of_lane = await self._publish_together([messages[place] for place in places], new_lane=new_lane)
            for place, verdict in zip(places, of_lane, strict=True):
                verdicts[place] = verdict

        await asyncio.gather(*(publish(new_lane, places) for new_lane, places in by_lane.items()))
        return verdicts

    async def _publish_together(
        self, messages: Sequence[Outgoing], *, new_lane: str | None = None
    ) -> list[Verdict]:
        verdicts = [Verdict.UNKNOWN] * len(messages)
        if not self.is_connected:
            return verdicts
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT):
                if new_lane is not None:
                    await self._declare_lane(new_lane)
                channel = await self._confirming_channel()
                if await channel.publish(messages, verdicts) and self.is_stalled:
                    self._is_back()
        except TimeoutError:
            self.is_stalled = True
        except CONNECTION_ERRORS:
            if self._connection is not None and self._connection.connected.is_set():
                self._declare_again()  # the channel alone ended: somebody may have deleted an exchange
        except asyncio.CancelledError:
            if is_own_cancellation():
                raise
        except Exception as error:  # a queue that is something else than it should be, say
            log.error("publish failed lane=%s error=%s", new_lane, type(error).__name__)
            verdicts = [Verdict.REFUSED] * len(messages)
        self._note_refused(messages, verdicts)
        return verdicts

    def _note_refused(self, messages: Sequence[Outgoing], verdicts: Sequence[Verdict]) -> None:
        """Nacked, or returned as unroutable: somebody may have deleted a queue."""
        refused = [
            message
            for message, verdict in zip(messages, verdicts, strict=True)
            if verdict is Verdict.REFUSED or (verdict is Verdict.RETURNED and message.expects_queue)
        ]
        if not refused:
            return
        self._declare_again()
        # The default exchange's keys are names of other services' queues.
        places = Counter(
            (message.exchange, message.routing_key if message.exchange else "(a reply)")
            for message in refused
        )
        for (exchange, key), count in places.items():
            log.error("publish refused exchange=%s key=%s count=%d", exchange, key, count)

    async def _declare_lane(self, key: str) -> None:
        """A tenant's queue in a lane, before the first message for it: what ends a delay without one, has no
        route."""
        async with self._declaring_lane:
            if key not in self._known_lanes:
                assert self._connection is not None
                nothing = Topology(exchanges=(), queues=(), bindings=())
                await declare(self._connection, with_tenants(nothing, keys=[key]))
                self._known_lanes.add(key)

    async def _confirming_channel(self) -> ConfirmingChannel:
        """Of the channel below aio-pika's, which is another one after each reconnection."""
        assert self._channel is not None
        assert self._connection is not None
        channel = await self._channel.get_underlay_channel()
        if self._confirming is None or self._confirming[0] is not channel:
            assert isinstance(channel, Channel)
            sieve = self._connection.routes.sieve
            if channel.is_closed or sieve is None:
                raise ConnectionError("the channel is closed")
            confirming = ConfirmingChannel(channel.number, max_body=channel.max_content_size, sieve=sieve)
            self._confirming = channel, confirming
        return self._confirming[1]

    def _is_closing(self) -> bool:
        """Whether the broker has closed the channel and aiormq does not know it yet."""
        if self._confirming is None:
            return False
        channel, confirming = self._confirming
        return confirming.is_closed and not channel.is_closed

    def _reconnected(self, *_: object) -> None:
        """A broker that comes back may come back empty."""
        self._is_back()
        self._declare_again()

    def _is_back(self) -> None:
        self.is_stalled = False
        self.returns += 1

    def _declare_again(self) -> None:
        """In a task of its own: aio-pika drops what a callback raises, and a declaration that gets no answer
        must be repeated."""
        if self._redeclaring is None or self._redeclaring.done():
            self._redeclaring = asyncio.create_task(self._redeclare())

    async def _redeclare(self) -> None:
        """Also when a publish was refused, or ended its channel: somebody may have deleted a queue, and its
        bindings with it, or an exchange."""
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


def _slice(messages: Sequence[Outgoing], *, start: int) -> Sequence[Outgoing]:
    """As many as may be in flight at once: by number, and by size unless it is a single one."""
    size = 0
    for place in range(start, min(start + MAX_IN_FLIGHT, len(messages))):
        size += len(messages[place].body)
        if size > MAX_BYTES_IN_FLIGHT and place > start:
            return messages[start:place]
    return messages[start : start + MAX_IN_FLIGHT]
