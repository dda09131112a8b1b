"""aiohttp, aio-pika and pymongo's asyncio client, one message at a time: what FastStream does for its users.

On uvloop, as FastStream is where that is installed. A callback a message, up to 16 at once in each of 2
processes (prefetch_count), confirms on, mandatory.
https://docs.aio-pika.com/quick-start.html
Retries wait in a queue of their own with a TTL, from which they come back by dead-lettering.

Lacks, beyond what all peers do: callbacks are canceled when the connection drops while the call to the
provider is out, and the message comes again. The waiting queue has the trouble of all per-message TTLs: a
short wait behind a long one waits as long; and RabbitMQ confirms no dead-lettering out of a classic queue, so
that retries can be lost in a restart.
"""

import asyncio
import json
import os
import signal
from typing import Any

import aio_pika
import aiohttp
import uvloop
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiohttp import web
from marshmallow import ValidationError
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from bench.peers.emails import (
    DURABLE,
    STATES,
    Document,
    EmailSchema,
    change_to,
    new_document,
    not_final,
    still_queued,
    submission,
)
from bench.peers.provider import REFUSALS
from bench.peers.settings import (
    CALL_SECONDS,
    CONNECT_SECONDS,
    MAX_PRIORITY,
    MAX_RETRIES,
    PRIORITIES,
    QUEUE,
    load_settings,
)
from bench.peers.web import is_signed

AT_ONCE = 16
RETRY_QUEUE = f"{QUEUE}.retry"
DEAD_QUEUE = f"{QUEUE}.dead"
RETRIES = "retries"


def collection(uri: str) -> AsyncCollection[Document]:
    client: AsyncMongoClient[Document] = AsyncMongoClient(uri, tz_aware=True)
    return client.get_default_database(write_concern=DURABLE)["emails"]


async def declare(channel: AbstractChannel) -> aio_pika.abc.AbstractQueue:
    await channel.declare_queue(DEAD_QUEUE, durable=True)
    back: dict[str, Any] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": QUEUE}
    await channel.declare_queue(RETRY_QUEUE, durable=True, arguments=back)
    return await channel.declare_queue(QUEUE, durable=True, arguments={"x-max-priority": MAX_PRIORITY})


def message(email_id: str, **properties: Any) -> aio_pika.Message:
    return aio_pika.Message(
        json.dumps({"email_id": email_id}).encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        **properties,
    )


async def create_app() -> web.Application:
    """Under gunicorn with aiohttp's worker."""
    settings = load_settings(os.environ)
    emails = collection(settings.mongodb_uri)
    schema = EmailSchema()
    connection = await aio_pika.connect_robust(settings.amqp_url)
    channel = await connection.channel(on_return_raises=True)
    await declare(channel)

    async def send(request: web.Request) -> web.Response:
        try:
            email = schema.load(await request.json())
        except ValidationError as error:
            return web.json_response({"status": "denied", "reason": error.messages}, status=400)
        document = new_document(email)
        await emails.insert_one(document)
        outgoing = message(document["_id"], priority=PRIORITIES[email["lane"]], message_id=document["_id"])
        await channel.default_exchange.publish(outgoing, QUEUE, timeout=5)
        return web.json_response({"status": "accepted", "request_id": document["_id"]}, status=202)

    async def report(request: web.Request) -> web.Response:
        raw = await request.read()
        if not is_signed(raw, request.headers.get("X-Signature", ""), settings.webhook_secret):
            return web.json_response({"error": "signature"}, status=401)
        event = json.loads(raw)
        await emails.update_one(not_final(event["ID"]), change_to(STATES[event["STATUS"]]))
        return web.Response(status=204)

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    app = web.Application()
    app.add_routes(
        [
            web.post("/send", send),
            web.post("/webhooks/mail-delivery-service", report),
            web.get("/readyz", ready),
        ]
    )
    return app


class Worker:
    def __init__(
        self,
        emails: AsyncCollection[Document],
        session: aiohttp.ClientSession,
        *,
        url: str,
        channel: AbstractChannel,
    ) -> None:
        self._emails = emails
        self._session = session
        self._url = f"{url}/api/emails"
        self._channel = channel

    async def take(self, incoming: AbstractIncomingMessage) -> None:
        """Acknowledges when all is recorded; a message whose worker dies meanwhile comes again."""
        async with incoming.process(requeue=True):
            email_id = json.loads(incoming.body)["email_id"]
            email = await self._emails.find_one(still_queued(email_id))
            if email is None:
                return
            try:
                state = await self._submit(email)
            except (aiohttp.ClientError, TimeoutError):
                await self._again(email_id, incoming)
            else:
                await self._emails.update_one(still_queued(email_id), change_to(state))

    async def _submit(self, email: Document) -> str:
        async with self._session.post(self._url, json=submission(email)) as response:
            if response.status in REFUSALS:
                return "rejected"
            response.raise_for_status()
            await response.read()
            return "submitted"

    async def _again(self, email_id: str, incoming: AbstractIncomingMessage) -> None:
        retries = int(str(incoming.headers.get(RETRIES, 0)))
        wait = {} if retries >= MAX_RETRIES else {"expiration": min(2**retries, 600)}
        again = message(email_id, priority=incoming.priority, headers={RETRIES: retries + 1}, **wait)
        await self._channel.default_exchange.publish(again, RETRY_QUEUE if wait else DEAD_QUEUE, timeout=5)


async def work() -> None:
    settings = load_settings(os.environ)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS, sock_connect=CONNECT_SECONDS)
    async with (
        await aio_pika.connect_robust(settings.amqp_url) as connection,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        channel = await connection.channel(on_return_raises=True)
        await channel.set_qos(prefetch_count=AT_ONCE)
        queue = await declare(channel)
        worker = Worker(collection(settings.mongodb_uri), session, url=settings.provider_url, channel=channel)
        await queue.consume(worker.take)
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(work())
