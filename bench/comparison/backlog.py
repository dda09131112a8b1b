"""Emails that wait, put there at once: stored, and their messages in the queue."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from pamqp.commands import Basic

from bench.comparison.bulk_publishing import BulkPublisher, Message, MessageOf
from bench.comparison.names import AIO_PIKA, CELERY_PREFORK, CELERY_THREADS, DRAMATIQ
from bench.peers import aio_pika_app, celery_app, dramatiq_app
from bench.peers.emails import new_document
from bench.peers.settings import PRIORITIES, QUEUE
from delivery.bootstrap import new_email_id
from delivery.domain.lanes import Lane
from delivery.use_cases.messages import encode_email
from tests.harness.backlog import published_document
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.store import Document, StoreDatabase
from topology.names import EMAIL_EXCHANGE

RECIPIENT = "somebody@example.com"
CONTENT = {"sender": "bench@example.com", "recipient": RECIPIENT, "message": "x" * 500}

_BATCH = 2000
_PERSISTENT = 2
_PRIORITY = 1
"""postroom's, of an email whose caller asks for none."""


def document_of_postroom() -> Document:
    return published_document(Lane.BULK, RECIPIENT, message=CONTENT["message"])


def put_for_postroom(database: StoreDatabase, vhost: VirtualHost, count: int) -> None:
    """As accepting and publishing leave them, in the bulk lane."""

    def documents(number: int) -> list[Document]:
        alike = document_of_postroom()
        return [{**alike, "_id": new_email_id()} for _ in range(number)]

    publisher = BulkPublisher(vhost.url, _message_of_postroom, exchange=EMAIL_EXCHANGE, key=Lane.BULK.value)
    asyncio.run(_put(database, publisher, documents, count))


def put_for_peer(name: str, database: StoreDatabase, vhost: VirtualHost, count: int) -> None:
    """As the peer's own API leaves them, of the lowest priority. Its queue must be there."""

    def documents(number: int) -> list[Document]:
        alike = new_document({**CONTENT, "lane": "bulk"})
        return [{**alike, "_id": str(uuid4())} for _ in range(number)]

    publisher = BulkPublisher(vhost.url, _MESSAGES[name], exchange="", key=QUEUE)
    asyncio.run(_put(database, publisher, documents, count))


async def _put(
    database: StoreDatabase, publisher: BulkPublisher, documents: Callable[[int], list[Document]], count: int
) -> None:
    """A batch is published while the next is stored: no message comes before its document."""

    def store(number: int) -> list[str]:
        batch = documents(number)
        database["emails"].insert_many(batch, ordered=False)
        return [document["_id"] for document in batch]

    async with publisher:
        stored: list[str] = []
        for number in _batches(count):
            storing = asyncio.create_task(asyncio.to_thread(store, number))
            if stored:
                await publisher.publish(stored)
            stored = await storing
        if stored:
            await publisher.publish(stored)


def wait_for_depth(vhost: VirtualHost, queue: str, least: int) -> None:
    wait_until(lambda: vhost.depth(queue) >= least, within=120, what=f"{least} messages wait in {queue}")


def _batches(count: int) -> Iterator[int]:
    for start in range(0, count, _BATCH):
        yield min(_BATCH, count - start)


def _properties(**more: Any) -> Basic.Properties:
    return Basic.Properties(delivery_mode=_PERSISTENT, content_type="application/json", **more)


def _message_of_postroom(email_id: str) -> Message:
    body = encode_email(email_id, 1)
    return body, _properties(priority=_PRIORITY, message_id=email_id)


def _message_of_celery(email_id: str) -> Message:
    body, headers, correlation_id = celery_app.message(email_id)
    return body, _properties(
        headers=headers,
        correlation_id=correlation_id,
        content_encoding="utf-8",
        priority=PRIORITIES["bulk"],
    )


def _message_of_dramatiq(email_id: str) -> Message:
    return dramatiq_app.message(email_id), _properties(priority=PRIORITIES["bulk"])


def _message_of_aio_pika(email_id: str) -> Message:
    message = aio_pika_app.message(email_id, priority=PRIORITIES["bulk"], message_id=email_id)
    return message.body, message.properties


_MESSAGES: dict[str, MessageOf] = {
    CELERY_PREFORK: _message_of_celery,
    CELERY_THREADS: _message_of_celery,
    DRAMATIQ: _message_of_dramatiq,
    AIO_PIKA: _message_of_aio_pika,
}
