"""A connection to RabbitMQ that comes back by itself."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import aio_pika
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from yarl import URL

from delivery.broker.sifting import Routes

HEARTBEAT = 10
"""Seconds. A peer that is gone without a word is noticed within about three of these. Until then nothing is
published or consumed here: as short as RabbitMQ advises, without taking a busy one for gone (5 to 20 s).
https://www.rabbitmq.com/docs/heartbeats
"""

RECONNECT_INTERVAL = 1
"""Seconds between two tries to connect."""

CONNECT_TIMEOUT = 10
"""Seconds for one try. A host that takes the connection and says nothing would hold it for ever."""

DISCONNECT_GRACE = 1.0
"""Seconds that the broker has to say goodbye: a stop has its own time limit."""

CONNECTION_ERRORS: tuple[type[Exception], ...] = (
    AMQPError,
    ChannelInvalidStateError,
    ConnectionError,
    RuntimeError,  # aio-pika's word for a channel or connection that is closed or being restored
    TimeoutError,
)


class Closeable(Protocol):
    async def close(self) -> None: ...


class Connection(aio_pika.RobustConnection):
    """routes: who takes what is delivered, without the cost of aio-pika's own messages."""

    def __init__(self, url: URL, *, name: str) -> None:
        super().__init__(url, client_properties={"connection_name": name})
        self.routes = Routes()
        self.kwargs["transport_factory"] = self.routes


async def connect(url: str, *, name: str) -> Connection:
    """Connect, however long it takes; the connection then restores itself whenever it is lost.

    Whoever has it must close it, at a failure too. ``name`` is what the management UI shows. One connection
    publishes, another consumes: a memory alarm stops everything on a connection that publishes.
    https://www.rabbitmq.com/docs/connection-blocked
    """
    parsed = URL(url)
    query = {"heartbeat": str(HEARTBEAT), "reconnect_interval": str(RECONNECT_INTERVAL), "fail_fast": "0"}
    connection = Connection(parsed.update_query({**query, **parsed.query}), name=name)
    try:
        await connection.connect(timeout=CONNECT_TIMEOUT)
    except BaseException:
        # Else its own task goes on connecting: no cancellation ends it, and no event loop ends before it.
        await connection.close()
        raise
    return connection


@contextmanager
def lost_connection_suppressed() -> Iterator[None]:
    """Around a broker call whose failure is harmless because the connection it was for is gone."""
    try:
        yield
    except CONNECTION_ERRORS:
        pass
    except asyncio.CancelledError:
        if is_own_cancellation():
            raise


async def disconnect(connection: Closeable) -> None:
    """Close it in order, within DISCONNECT_GRACE: the broker may be away, or say nothing."""
    with lost_connection_suppressed():
        async with asyncio.timeout(DISCONNECT_GRACE):
            await connection.close()


def is_own_cancellation() -> bool:
    """Whether the CancelledError at hand is this very task's.

    aio-pika reports some lost connections as CancelledError; those must not end the task that meets them.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
