"""What broker, store and HTTP allow at most: the parts of the job alone, each as bare as Python has it."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic
from pymongo.collection import Collection

from bench.comparison import measures
from bench.comparison.backlog import CONTENT, document_of_postroom
from bench.comparison.measuring import accepting
from bench.comparison.results import Results
from delivery.store.client import DURABLE
from delivery.store.indexes import create_indexes
from delivery.use_cases.messages import encode_email
from stack.part import Part
from stack.ports import LOOPBACK, accepts
from stack.services import CHECKOUT, Surroundings, answers_ok
from tests.harness.broker import VirtualHost
from tests.harness.ports import free_ports
from tests.harness.store import Document, StoreDatabase
from tests.harness.system import inherited_environment

_QUEUE = "ceiling"
_IN_FLIGHT = 100
_PREFETCH = 200
_CALLS_AT_ONCE = 64
_BATCH = 1000


def measure_broker(results: Results, vhost: VirtualHost, *, seconds: float) -> None:
    """Messages of postroom's size, through a queue of the lanes' type."""
    published, consumed = asyncio.run(_broker_rates(vhost.url, seconds))
    results.add_ceiling("publish, 100 confirms in flight", "/s", published)
    results.add_ceiling("consume and acknowledge", "/s", consumed)


def measure_store(results: Results, database: StoreDatabase, *, seconds: float) -> None:
    """postroom's documents and indexes, durably, a thousand at a time; and one at a time."""
    db = database.client[database.name]
    create_indexes(db)
    emails = db.get_collection("emails", write_concern=DURABLE)
    ids: list[str] = []

    def insert(count: int) -> None:
        documents = [document_of_postroom() for _ in range(count)]
        emails.insert_many(documents, ordered=False)
        ids.extend(document["_id"] for document in documents)

    results.add_ceiling("insert_many of 1,000", "/s", _rate(lambda: insert(_BATCH), seconds) * _BATCH)
    turns = _batches(ids)
    results.add_ceiling(
        "update_many of 1,000", "/s", _rate(lambda: _claim(emails, next(turns)), seconds) * _BATCH
    )
    results.add_ceiling("insert of 1", "/s", _rate(lambda: insert(1), seconds))


def measure_calls(results: Results, *, simulator_url: str, folder: Path, seconds: float) -> None:
    """POSTs with aiohttp, 64 at once: to the simulator, and to somebody who always says the same."""
    rate = asyncio.run(_calls_per_second(f"{simulator_url}/api/emails", seconds))
    results.add_ceiling("calls of the simulator", "/s", rate)
    port = free_ports(1)[0]
    with _running(_static_part(port, folder)):
        rate = asyncio.run(_calls_per_second(f"http://{LOOPBACK}:{port}/api/emails", seconds))
    results.add_ceiling(measures.CALLS, "/s", rate)


def measure_flask(results: Results, *, folder: Path, seconds: float) -> None:
    """A constant answer under gunicorn's own threads, as the peers have them."""
    port = free_ports(1)[0]
    with _running(_constant_part(port, folder)):
        for connections in measures.CONNECTIONS:
            run = accepting(f"http://{LOOPBACK}:{port}", connections=connections, seconds=seconds)
            results.add_ceiling(measures.constant(connections), "/s", run.rate)


async def _broker_rates(url: str, seconds: float) -> tuple[float, float]:
    connection = await aiormq.connect(url)
    channel = await connection.channel(publisher_confirms=True)
    # As delivery's topology declares a lane's queue.
    arguments: dict[str, Any] = {"x-queue-type": "classic", "x-max-priority": 4}
    await channel.queue_declare(_QUEUE, durable=True, arguments=arguments)
    count, published = await _publish_for(channel, seconds)
    consumed = await _consume_all(channel, count)
    await channel.queue_delete(_QUEUE)
    await connection.close()
    return published, consumed


async def _publish_for(channel: AbstractChannel, seconds: float) -> tuple[int, float]:
    """How many were confirmed, and at which rate."""
    began, confirmed = time.perf_counter(), 0

    async def publish() -> None:
        nonlocal confirmed
        while time.perf_counter() < began + seconds:
            email_id = str(uuid4())
            properties = Basic.Properties(
                delivery_mode=2, message_id=email_id, priority=1, content_type="application/json"
            )
            body = encode_email(email_id, 1)
            await channel.basic_publish(body, routing_key=_QUEUE, properties=properties, mandatory=True)
            confirmed += 1

    await asyncio.gather(*(publish() for _ in range(_IN_FLIGHT)))
    return confirmed, confirmed / (time.perf_counter() - began)


async def _consume_all(channel: AbstractChannel, count: int) -> float:
    await channel.basic_qos(prefetch_count=_PREFETCH)
    taken, all_taken = 0, asyncio.Event()

    async def take(message: DeliveredMessage) -> None:
        nonlocal taken
        taken += 1
        if taken % (_PREFETCH // 4) == 0 or taken == count:
            assert message.delivery_tag is not None
            await channel.basic_ack(message.delivery_tag, multiple=True)
        if taken == count:
            all_taken.set()

    began = time.perf_counter()
    consumer = await channel.basic_consume(_QUEUE, take)
    await asyncio.wait_for(all_taken.wait(), 120)
    took = time.perf_counter() - began
    assert consumer.consumer_tag is not None
    await channel.basic_cancel(consumer.consumer_tag)
    return count / took


def _claim(emails: "Collection[Document]", ids: list[str]) -> None:
    """As a claim does it, whatever was claimed before."""
    claim = {"token": str(uuid4()), "at": datetime.now(UTC)}
    emails.update_many({"_id": {"$in": ids}, "gen": 1}, {"$set": {"state": "submitting", "claim": claim}})


def _batches(ids: list[str]) -> Iterator[list[str]]:
    while True:
        for start in range(0, len(ids), _BATCH):
            yield ids[start : start + _BATCH]


def _rate(once: Any, seconds: float) -> float:
    began, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() < began + seconds:
        once()
        count += 1
    return count / (time.perf_counter() - began)


async def _calls_per_second(url: str, seconds: float) -> float:
    count, began = 0, time.perf_counter()

    async def call(session: aiohttp.ClientSession) -> None:
        nonlocal count
        while time.perf_counter() < began + seconds:
            async with session.post(url, json={"request_id": str(uuid4()), **CONTENT}) as response:
                await response.read()
                response.raise_for_status()
            count += 1

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        await asyncio.gather(*(call(session) for _ in range(_CALLS_AT_ONCE)))
    return count / (time.perf_counter() - began)


@contextmanager
def _running(part: Part) -> Iterator[None]:
    part.start()
    try:
        part.wait_ready(60)
        yield
    finally:
        with suppress(ProcessLookupError):
            part.stop(within=10)


def _static_part(port: int, folder: Path) -> Part:
    return Part(
        "static answer",
        [sys.executable, "-m", "bench.comparison.static_answer", str(port)],
        env=inherited_environment(),
        cwd=CHECKOUT,
        log=folder / "static-answer.log",
        owner=str(folder),
        ready=lambda: accepts(port),
    )


def _constant_part(port: int, folder: Path) -> Part:
    environ = {**inherited_environment(), "API_PORT": str(port)}
    around = Surroundings(environ=environ, logs=folder, owner=str(folder))
    return around.part(
        "constant answer",
        "gunicorn",
        *("-c", "bench/peers/gunicorn_conf.py", "bench.comparison.constant_app:create_app()"),
        env={},
        ready_url=f"http://{LOOPBACK}:{port}/readyz",
        is_ready=answers_ok,
    )
