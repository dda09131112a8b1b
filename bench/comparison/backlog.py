"""Emails that wait, put there at once: stored, and their messages in the queue."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import aiormq
from pamqp.commands import Basic

from bench.comparison.names import AIO_PIKA, CELERY_PREFORK, CELERY_THREADS, DRAMATIQ
from bench.peers import aio_pika_app, celery_app, dramatiq_app
from bench.peers.emails import new_document
from bench.peers.settings import PRIORITIES, QUEUE
from delivery.domain.lanes import Lane
from delivery.use_cases.messages import encode_email
from tests.harness.backlog import published_document
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.store import Document, StoreDatabase
from topology.names import EMAIL_EXCHANGE

RECIPIENT = "somebody@example.com"
CONTENT = {"sender": "bench@example.com", "recipient": RECIPIENT, "message": "x" * 500}

Message = tuple[bytes, Basic.Properties]

_BATCH = 1000
_PERSISTENT = 2


def document_of_postroom() -> Document:
    return published_document(Lane.BULK, RECIPIENT, message=CONTENT["message"])


def put_for_postroom(database: StoreDatabase, vhost: VirtualHost, count: int) -> None:
    """As accepting and publishing leave them, in the bulk lane."""
    for number in _batches(count):
        documents = [document_of_postroom() for _ in range(number)]
        _put(database, vhost, documents, _message_of_postroom, exchange=EMAIL_EXCHANGE, key=Lane.BULK.value)


def put_for_peer(name: str, database: StoreDatabase, vhost: VirtualHost, count: int) -> None:
    """As the peer's own API leaves them, of the lowest priority. Its queue must be there."""
    for number in _batches(count):
        documents = [new_document({**CONTENT, "lane": "bulk"}) for _ in range(number)]
        _put(database, vhost, documents, _MESSAGES[name], exchange="", key=QUEUE)


def _put(
    database: StoreDatabase,
    vhost: VirtualHost,
    documents: list[Document],
    message_of: Callable[[Document], Message],
    *,
    exchange: str,
    key: str,
) -> None:
    database["emails"].insert_many(documents, ordered=False)
    messages = [message_of(document) for document in documents]
    asyncio.run(_publish(vhost.url, messages, exchange=exchange, key=key))


async def _publish(url: str, messages: Sequence[Message], *, exchange: str, key: str) -> None:
    """All but the last without a confirm, which is several times faster.

    The last one's says that the queue has written what came before it, too: what was never to be confirmed
    RabbitMQ 3.10 keeps in memory, and a broker that is killed would forget it.
    """
    async with await aiormq.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        for body, properties in messages[:-1]:
            await channel.basic_publish(body, exchange=exchange, routing_key=key, properties=properties)
        await channel.close()
        body, properties = messages[-1]
        channel = await connection.channel(publisher_confirms=True)
        await channel.basic_publish(body, exchange=exchange, routing_key=key, properties=properties)


def wait_for_depth(vhost: VirtualHost, queue: str, least: int) -> None:
    wait_until(lambda: vhost.depth(queue) >= least, within=120, what=f"{least} messages wait in {queue}")


def _batches(count: int) -> Iterator[int]:
    for start in range(0, count, _BATCH):
        yield min(_BATCH, count - start)


def _properties(**more: Any) -> Basic.Properties:
    return Basic.Properties(delivery_mode=_PERSISTENT, content_type="application/json", **more)


def _message_of_postroom(document: Document) -> Message:
    body = encode_email(document["_id"], document["gen"])
    return body, _properties(priority=document["priority"], message_id=str(uuid4()))


def _message_of_celery(document: Document) -> Message:
    body, headers, correlation_id = celery_app.message(document["_id"])
    return body, _properties(
        headers=headers,
        correlation_id=correlation_id,
        content_encoding="utf-8",
        priority=PRIORITIES["bulk"],
    )


def _message_of_dramatiq(document: Document) -> Message:
    return dramatiq_app.message(document["_id"]), _properties(priority=PRIORITIES["bulk"])


def _message_of_aio_pika(document: Document) -> Message:
    message = aio_pika_app.message(document["_id"], priority=PRIORITIES["bulk"], message_id=document["_id"])
    return message.body, message.properties


_MESSAGES: dict[str, Callable[[Document], Message]] = {
    CELERY_PREFORK: _message_of_celery,
    CELERY_THREADS: _message_of_celery,
    DRAMATIQ: _message_of_dramatiq,
    AIO_PIKA: _message_of_aio_pika,
}
